/* Executes a program COUNT times and waits for each (posix_spawn shares the memory until the exec, as a shell's vfork
   does); prints the nanoseconds of one. Always the same program, arguments and parent: a single behaviour. */
#include <spawn.h>
#include <sys/wait.h>

#include "load.h"

static void execute(char *program) {
  char *nothing[] = {NULL}, *arguments[] = {program, NULL};
  pid_t child;
  int status;
  if ((errno = posix_spawn(&child, program, NULL, NULL, arguments, nothing)) != 0) fail(program);
  if (waitpid(child, &status, 0) != child || status != 0) fail("waitpid");
}

int main(int count, char **arguments) {
  expect(count, 3, "PROGRAM COUNT CPU");
  pin(arguments[3]);
  long acts = atol(arguments[2]) / SLICES;
  double slices[SLICES];
  for (int slice = 0; slice < SLICES; slice++) {
    uint64_t began = now();
    for (long i = 0; i < acts; i++) execute(arguments[1]);
    slices[slice] = (double)(now() - began);
  }
  printf("%.2f\n", typical(slices, acts));
  return 0;
}
