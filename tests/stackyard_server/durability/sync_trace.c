/* Preloaded into a server: writes one line per synced file, per request that arrived and per answer that left.

   S: fsync or fdatasync came back. R: a request's first bytes were read. A: an answer's first bytes are about to
   leave. The order of the lines is the order of the events; the test sends one request at a time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int place = -1;

static void note(const char *line)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (place < 0) {
        const char *path = getenv("SYNC_TRACE");
        if (!path) return;
        place = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    if (real(place, line, strlen(line)) < 0) abort();
}

static void look(const void *data, ssize_t size)
{
    if (size > 8 && !memcmp(data, "HTTP/1.1", 8)) note("A\n");
}

static void heard(const void *data, ssize_t size)
{
    if (size > 5 && (!memcmp(data, "POST /", 6) || !memcmp(data, "GET /", 5))) note("R\n");
}

int fsync(int number)
{
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    int result = real(number);
    if (!result) note("S\n");
    return result;
}

int fdatasync(int number)
{
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    int result = real(number);
    if (!result) note("S\n");
    return result;
}

ssize_t write(int number, const void *data, size_t size)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    look(data, (ssize_t)size);
    return real(number, data, size);
}

ssize_t writev(int number, const struct iovec *parts, int count)
{
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real) real = dlsym(RTLD_NEXT, "writev");
    if (count > 0) look(parts[0].iov_base, (ssize_t)parts[0].iov_len);
    return real(number, parts, count);
}

ssize_t send(int number, const void *data, size_t size, int flags)
{
    static ssize_t (*real)(int, const void *, size_t, int);
    if (!real) real = dlsym(RTLD_NEXT, "send");
    look(data, (ssize_t)size);
    return real(number, data, size, flags);
}

ssize_t sendmsg(int number, const struct msghdr *message, int flags)
{
    static ssize_t (*real)(int, const struct msghdr *, int);
    if (!real) real = dlsym(RTLD_NEXT, "sendmsg");
    if (message->msg_iovlen > 0) look(message->msg_iov[0].iov_base, (ssize_t)message->msg_iov[0].iov_len);
    return real(number, message, flags);
}

ssize_t read(int number, void *data, size_t size)
{
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "read");
    ssize_t got = real(number, data, size);
    heard(data, got);
    return got;
}

ssize_t recv(int number, void *data, size_t size, int flags)
{
    static ssize_t (*real)(int, void *, size_t, int);
    if (!real) real = dlsym(RTLD_NEXT, "recv");
    ssize_t got = real(number, data, size, flags);
    heard(data, got);
    return got;
}
