/* Opens and closes one file COUNT times; prints the nanoseconds of one. One process, one file: a single behaviour. */
#include "load.h"

int main(int count, char **arguments) {
  expect(count, 3, "PATH COUNT CPU");
  pin(arguments[3]);
  long acts = atol(arguments[2]) / SLICES;
  double slices[SLICES];
  for (int slice = 0; slice < SLICES; slice++) {
    uint64_t began = now();
    for (long i = 0; i < acts; i++) open_and_close(AT_FDCWD, arguments[1]);
    slices[slice] = (double)(now() - began);
  }
  printf("%.2f\n", typical(slices, acts));
  return 0;
}
