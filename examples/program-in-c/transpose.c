/* Transposes a square matrix many times, block by block: small blocks stay in the cache, one large block does not.
 *   cc -O2 -o transpose transpose.c && ./transpose SIDE BLOCK TIMES
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long positive(const char *text) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*end != '\0' || value < 1 || value > 100000) {
        fprintf(stderr, "transpose: %s is no number from 1 to 100000\n", text);
        exit(2);
    }
    return value;
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "usage: transpose SIDE BLOCK TIMES\n");
        return 2;
    }
    long side = positive(words[1]), block = positive(words[2]), times = positive(words[3]);
    double *from = malloc(sizeof(double) * (size_t)(side * side));
    double *to = malloc(sizeof(double) * (size_t)(side * side));
    if (from == NULL || to == NULL) {
        fprintf(stderr, "transpose: no memory for two matrices of %ld x %ld\n", side, side);
        return 1;
    }
    for (long i = 0; i < side * side; i++) {
        from[i] = (double)(i % 1000);
        to[i] = 0;
    }
    double begun = now();
    for (long time = 0; time < times; time++) {
        for (long rows = 0; rows < side; rows += block)
            for (long columns = 0; columns < side; columns += block)
                for (long i = rows; i < rows + block && i < side; i++)
                    for (long j = columns; j < columns + block && j < side; j++)
                        to[j * side + i] = from[i * side + j];
        double *other = from;
        from = to;
        to = other;
    }
    double seconds = now() - begun, sum = 0;
    for (long i = 0; i < side * side; i++)
        sum += from[i] * (double)(i % 7);
    printf("sum %.0f\n", sum);
    printf("moved %.3f GB per second\n", 16e-9 * (double)(side * side) * (double)times / seconds);
    free(from);
    free(to);
    return 0;
}
