/* touch.py in C: touch so many megabytes, burn so many CPU seconds, sleep, end. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double used(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int count, char **words)
{
    if (count < 4)
        return 2;
    size_t size = strtoull(words[1], NULL, 10) * 1000000;
    volatile char *block = size ? malloc(size) : NULL;
    if (block)
        memset((char *)block, 1, size);
    usleep(250000);
    double end = used() + atof(words[2]);
    while (used() < end)
        ;
    usleep((useconds_t)(atof(words[3]) * 1e6));
    return block ? block[size / 2] - 1 : 0;
}
