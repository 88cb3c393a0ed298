/* Opens and closes one file RATE times a second for SECONDS, in bursts of a millisecond; prints how many opens a second
   it came to. Where the machine is too slow for the rate, bursts follow each other without a rest. */
#include "load.h"

int main(int count, char **arguments) {
  expect(count, 4, "PATH RATE SECONDS CPU");
  pin(arguments[4]);
  long burst = atol(arguments[2]) / 1000, done = 0;
  uint64_t began = now(), end = began + (uint64_t)atol(arguments[3]) * 1000000000u;
  for (uint64_t at = began; now() < end; at += 1000000) {
    for (long i = 0; i < burst; i++) open_and_close(AT_FDCWD, arguments[1]);
    done += burst;
    sleep_until(at + 1000000);
  }
  printf("%.2f\n", (double)done * 1e9 / (double)(now() - began));
  return 0;
}
