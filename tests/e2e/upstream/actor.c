/* What an intruder would do, one act per argument; the tests run it in a container and look for the rule that must fire.
 * Static, so that it runs in any image. `actor AS name ACT…` executes itself first as a program of that name, which must
 * be a copy or link of this file in /actors. Acts are tried: that one fails (no module, no right) is not the test's matter,
 * the attempt is. Everything stays on the loopback, or in a network namespace that the act made. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <net/ethernet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTSIDE "203.0.113.7" /* of the documentation's network; an address of the private namespace's loopback */

static void report(const char *act, long result) {
    printf("%s: %ld %s\n", act, result, result < 0 ? strerror(errno) : "");
    fflush(stdout);
}

static struct sockaddr_in address(const char *host, int port) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    inet_pton(AF_INET, host, &at.sin_addr);
    return at;
}

static int listener(const char *host, int port) {
    struct sockaddr_in at = address(host, port);
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(server, (void *)&at, sizeof(at)) || listen(server, 4))
        return -1;
    return server;
}

static int connected(const char *host, int port) {
    struct sockaddr_in at = address(host, port);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    report("connect", connect(client, (void *)&at, sizeof(at)));
    return client;
}

/* A network namespace whose loopback also has the address from outside: connections "out" reach only this process. */
static void private_network(const char *host) {
    report("unshare", unshare(CLONE_NEWNET));
    int control = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {};
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    ioctl(control, SIOCSIFFLAGS, &request);
    memset(&request, 0, sizeof(request));
    strcpy(request.ifr_name, "lo:1");
    struct sockaddr_in at = address(host, 0);
    memcpy(&request.ifr_addr, &at, sizeof(at));
    report("address", ioctl(control, SIOCSIFADDR, &request));
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    ioctl(control, SIOCSIFFLAGS, &request);
    close(control);
}

static void connect_out(const char *host, int port) {
    private_network(host);
    int server = listener(host, port);
    int client = connected(host, port);
    close(accept(server, 0, 0));
    close(client);
    close(server);
}

static void send_out(const char *host, int port) {
    private_network(host);
    struct sockaddr_in at = address(host, port);
    int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
    bind(server, (void *)&at, sizeof(at));
    report("sendto", sendto(client, "x", 1, 0, (void *)&at, sizeof(at)));
    char buffer[8];
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    recvfrom(server, buffer, sizeof(buffer), 0, (void *)&from, &length);
}

static void connect_out_datagram(const char *host, int port) {
    private_network(host);
    struct sockaddr_in at = address(host, port);
    int client = socket(AF_INET, SOCK_DGRAM, 0);
    report("connect", connect(client, (void *)&at, sizeof(at)));
}

static void receive_class_file(int port) {
    int server = listener("127.0.0.1", port), client = connected("127.0.0.1", port), other = accept(server, 0, 0);
    char buffer[64] = { 0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52 };
    send(other, buffer, sizeof(buffer), 0);
    report("recvfrom", recvfrom(client, buffer, sizeof(buffer), 0, 0, 0));
}

static void redirect(int port) {
    int server = listener("127.0.0.1", port), client = connected("127.0.0.1", port);
    int kept = dup(1);
    dup2(client, 0);
    dup2(client, 1);
    dup2(kept, 1);
    close(server);
    report("dup2", 0);
}

static void attach(void) {
    pid_t child = fork();
    if (!child) {
        pause();
        _exit(0);
    }
    report("ptrace attach", ptrace(PTRACE_ATTACH, child, 0, 0));
    waitpid(child, 0, __WALL);
    ptrace(PTRACE_DETACH, child, 0, 0);
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
}

static void run_from_memory(const char *program) {
    int file = syscall(SYS_memfd_create, "payload", 0);
    int source = open(program, O_RDONLY);
    char buffer[65536];
    ssize_t count;
    while ((count = read(source, buffer, sizeof(buffer))) > 0)
        if (write(file, buffer, count) != count)
            break;
    close(source);
    char *arguments[] = { "payload", "nothing", 0 }, *environment[] = { 0 };
    report("fexecve", syscall(SYS_execveat, file, "", arguments, environment, AT_EMPTY_PATH));
}

static void read_file(const char *path) {
    int file = open(path, O_RDONLY);
    report(path, file);
    char byte;
    if (file >= 0 && read(file, &byte, 1) >= 0)
        close(file);
}

static void write_file(const char *path, int flags, int mode) {
    int file = open(path, O_WRONLY | O_CREAT | flags, mode);
    report(path, file);
    if (file >= 0)
        close(file);
}

static void load_program(void) {
    struct bpf_insn code[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 }, { .code = BPF_JMP | BPF_EXIT } };
    union bpf_attr attributes = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insns = (unsigned long)code,
                                  .insn_cnt = 2, .license = (unsigned long)"GPL" };
    report("bpf", syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes)));
}

/* Does the act, and returns how many arguments it took. */
static int act(char **words, int count) {
    const char *name = words[0], *first = count > 1 ? words[1] : "", *second = count > 2 ? words[2] : "";
#define IS(text) !strcmp(name, text)
    if (IS("nothing")) return 1;
    if (IS("sleep")) { usleep(atof(first) * 1e6); return 2; }
    if (IS("read")) { read_file(first); return 2; }
    if (IS("write")) { write_file(first, 0, 0644); return 2; }
    if (IS("truncate")) { write_file(first, O_TRUNC, 0644); return 2; }
    if (IS("create-program")) { unlink(first); write_file(first, O_EXCL, 0755); return 2; }
    if (IS("chmod")) { report("chmod", chmod(first, strtol(second, 0, 8))); return 3; }
    if (IS("symlink")) { unlink(second); report("symlink", symlink(first, second)); return 3; }
    if (IS("link")) { unlink(second); report("link", link(first, second)); return 3; }
    if (IS("rename")) { report("rename", rename(first, second)); return 3; }
    if (IS("unlink")) { report("unlink", unlink(first)); return 2; }
    if (IS("mkdir")) { report("mkdir", mkdir(first, 0755)); rmdir(first); return 2; }
    if (IS("packet-socket")) { report("socket", socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))); return 1; }
    if (IS("redirect")) { redirect(atoi(first)); return 2; }
    if (IS("connect")) { close(connected(first, atoi(second))); return 3; }
    if (IS("connect-out")) { connect_out(first, atoi(second)); return 3; }
    if (IS("connect-udp-out")) { connect_out_datagram(first, atoi(second)); return 3; }
    if (IS("send-out")) { send_out(first, atoi(second)); return 3; }
    if (IS("receive-class")) { receive_class_file(atoi(first)); return 2; }
    if (IS("load-module")) { report("finit_module", syscall(SYS_finit_module, -1, "", 0)); return 1; }
    if (IS("load-program")) { load_program(); return 1; }
    if (IS("attach")) { attach(); return 1; }
    if (IS("trace-me")) {
        pid_t child = fork();
        if (!child) { report("ptrace traceme", ptrace(PTRACE_TRACEME, 0, 0, 0)); _exit(0); }
        waitpid(child, 0, 0);
        return 1;
    }
    if (IS("from-memory")) { run_from_memory(first); return 2; }
    if (IS("setns")) { report("setns", setns(open("/proc/self/ns/uts", O_RDONLY), 0)); return 1; }
    if (IS("unshare")) { report("unshare", unshare(CLONE_NEWUSER)); return 1; }
    if (IS("setuid")) { report("setuid", setuid(atoi(first))); return 2; }
    if (IS("fault")) { report("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC)); return 1; }
    if (IS("set")) { putenv(words[1]); return 2; }
    if (IS("session")) { report("setsid", setsid()); return 1; }
    if (IS("fork")) { /* the rest happens in a child */
        pid_t child = fork();
        if (child) { waitpid(child, 0, 0); exit(0); }
        return 1;
    }
    if (IS("run")) { /* the rest is a program with its arguments */
        words[count] = 0;
        execv(first, words + 1);
        report(first, -1);
        exit(1);
    }
    if (IS("as")) { /* the rest is done by /actors/<name> */
        char path[256];
        snprintf(path, sizeof(path), "/actors/%s", first);
        words[1] = path;
        words[count] = 0;
        execv(path, words + 1);
        report(path, -1);
        exit(1);
    }
    fprintf(stderr, "actor: no act called %s\n", name);
    exit(2);
}

int main(int count, char **words) {
    for (int at = 1; at < count;)
        at += act(words + at, count - at);
    return 0;
}
