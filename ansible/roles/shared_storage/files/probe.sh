# What role shared_storage looks at first, as one JSON object. Reads only.
# STORAGE_MODULE: the kernel's module; STORAGE_FOLDERS, STORAGE_KEPT: paths, with spaces between.
nfs=false
if grep -qw -e "$STORAGE_MODULE" /proc/filesystems || modprobe -n -q "$STORAGE_MODULE" 2>/dev/null; then nfs=true; fi
there() { if [ -e "$1" ]; then echo true; else echo false; fi; }
mounted() { cut -d' ' -f2 /proc/self/mounts | grep -qxF "$1"; }
hidden=
inside=
for folder in $STORAGE_FOLDERS; do
  # A mount that is made on demand is not touched: that would wait for the storage host.
  if mounted "$folder"; then continue; fi
  [ -n "$(ls -A "$folder" 2>/dev/null | head -n 1)" ] && hidden="$hidden,\"$folder\""
  real=$(realpath -m "$folder")
  for kept in $STORAGE_KEPT; do
    other=$(realpath -m "$kept")
    case "$other/" in "$real"/*) inside="$inside,\"$kept\"" ;; *) case "$real/" in "$other"/*) inside="$inside,\"$kept\"" ;; esac ;; esac
  done
done
printf '{"nfs": %s, "hidden": [%s], "inside": [%s], "server": %s}\n' "$nfs" "${hidden#,}" "${inside#,}" \
  "$(there /usr/lib/systemd/system/nfs-server.service)"
