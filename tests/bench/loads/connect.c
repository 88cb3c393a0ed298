/* Connects over TCP to PORT on the loopback and closes, COUNT times; prints the nanoseconds of one. The program is its
   own peer: it accepts after each slice, outside of the time that is measured. Closing resets the connection, or the
   ports in TIME_WAIT would run out. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "load.h"

static int listener(struct sockaddr_in *address, long acts) {
  int descriptor = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(descriptor, (struct sockaddr *)address, sizeof(*address)) != 0) fail("bind");
  if (listen(descriptor, (int)acts) != 0) fail("listen");
  return descriptor;
}

static void connect_and_close(struct sockaddr_in *address) {
  struct linger reset = {1, 0};
  int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  if (descriptor < 0) fail("socket");
  if (connect(descriptor, (struct sockaddr *)address, sizeof(*address)) != 0) fail("connect");
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  close(descriptor);
}

int main(int count, char **arguments) {
  expect(count, 3, "PORT COUNT CPU");
  pin(arguments[3]);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  long acts = atol(arguments[2]) / SLICES;
  int peer = listener(&address, acts);
  double slices[SLICES];
  for (int slice = 0; slice < SLICES; slice++) {
    uint64_t began = now();
    for (long i = 0; i < acts; i++) connect_and_close(&address);
    slices[slice] = (double)(now() - began);
    for (long i = 0; i < acts; i++) close(accept(peer, NULL, NULL));
  }
  printf("%.2f\n", typical(slices, acts));
  return 0;
}
