/* Opens COUNT different files of DIRECTORY (called FIRST and the numbers after it) once each, RATE a second, in bursts of
   a millisecond; prints how many opens a second it came to. ROUND is in its arguments and in its name, so every round is
   another context and all its opens are novel, although the files are those of the round before: novelty without a
   million files. */
#include <sys/prctl.h>

#include "load.h"

int main(int count, char **arguments) {
  expect(count, 6, "DIRECTORY FIRST COUNT RATE ROUND CPU");
  pin(arguments[6]);
  char name[24];
  snprintf(name, sizeof(name), "flood-%s", arguments[5]);
  prctl(PR_SET_NAME, name);
  int directory = open(arguments[1], O_RDONLY | O_DIRECTORY);
  if (directory < 0) fail(arguments[1]);
  long first = atol(arguments[2]), files = atol(arguments[3]), burst = atol(arguments[4]) / 1000, done = 0;
  uint64_t began = now();
  for (uint64_t at = began; done < files; at += 1000000) {
    for (long i = 0; i < burst && done < files; i++, done++) {
      snprintf(name, sizeof(name), "%ld", first + done);
      open_and_close(directory, name);
    }
    sleep_until(at + 1000000);
  }
  printf("%.2f\n", (double)done * 1e9 / (double)(now() - began));
  return 0;
}
