/* Executed by exec.c. Static and empty, so that the exec itself is nearly all of its life. */
int main(void) { return 0; }
