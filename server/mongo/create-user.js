// Run once by the MongoDB image, when its data folder is empty: the user ClearML comes with. It owns the two
// databases of ClearML and nothing else. A changed password is not taken over from here: docs/official-server.md.
const password = require("fs").readFileSync(process.env.CLEARML_PASSWORD_FILE, "utf8").trim();
db.getSiblingDB("admin").createUser({
  user: "clearml",
  pwd: password,
  roles: [{role: "dbOwner", db: "auth"}, {role: "dbOwner", db: "backend"}],
});
