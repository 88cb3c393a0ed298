/* Makes a system call that no hook is on COUNT times; prints the nanoseconds of one: what tracing costs the others. */
#include <sys/syscall.h>

#include "load.h"

int main(int count, char **arguments) {
  expect(count, 2, "COUNT CPU");
  pin(arguments[2]);
  long acts = atol(arguments[1]) / SLICES;
  double slices[SLICES];
  for (int slice = 0; slice < SLICES; slice++) {
    uint64_t began = now();
    for (long i = 0; i < acts; i++) syscall(SYS_getpid);
    slices[slice] = (double)(now() - began);
  }
  printf("%.2f\n", typical(slices, acts));
  return 0;
}
