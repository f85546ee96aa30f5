# Writes lines like those of a web server's log, the same every time.
BEGIN {
    srand(1)
    split("GET POST PUT HEAD", method)
    split("200 200 200 304 404 500", status)
    for (line = 1; line <= lines; line++)
        printf "10.0.%d.%d - [%d] \"%s /items/%d\" %s %d\n", rand() * 256, rand() * 256, 1700000000 + line, \
            method[int(rand() * 4) + 1], rand() * 5000, status[int(rand() * 6) + 1], rand() * 100000 > file
}
