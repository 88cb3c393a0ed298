/* What all loads share: a clock, one CPU for the whole load, failing loudly. Compiled with -D_GNU_SOURCE; each prints one
   number and a newline. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

/* Without it the scheduler would move some runs and not others, and a run would measure that. */
static inline void pin(const char *cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(atoi(cpu), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) fail("sched_setaffinity");
}

static inline void expect(int given, int wanted, const char *usage) {
  if (given == wanted + 1) return;
  fprintf(stderr, "arguments: %s\n", usage);
  exit(2);
}

#define SLICES 100

static int by_size(const void *one, const void *other) {
  double difference = *(const double *)one - *(const double *)other;
  return (difference > 0) - (difference < 0);
}

/* The time of one act in nanoseconds, from how long each of SLICES equal slices took: the median, so that slices in
   which something else had the CPU do not decide. */
static inline double typical(double *slices, long acts) {
  qsort(slices, SLICES, sizeof(*slices), by_size);
  return (slices[SLICES / 2 - 1] + slices[SLICES / 2]) / 2 / (double)acts;
}

static inline void open_and_close(int directory, const char *path) {
  int descriptor = openat(directory, path, O_RDONLY);
  if (descriptor < 0) fail(path);
  close(descriptor);
}

static inline void sleep_until(uint64_t at) {
  struct timespec time = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) continue;
}
