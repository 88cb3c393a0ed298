/* Records, counters and walks that every hook family shares. agent/probe/decode.py reads these layouts.
 *
 * All kernel reads go by offsets from BTF through READ and READ_BYTES: a wrong pointer yields zeros, never a fault.
 * Counts that cgroup programs share are atomic, as those can be preempted: seen = suppressed + submitted + dropped. */

#define __always_inline inline __attribute__((always_inline))

enum event_class { EXEC, FORK, EXIT, OPEN, UNLINK, RENAME, CHMOD, LISTEN, BIND, CONNECT, CAPABILITY, BIRTH, DEATH,
                   SYSCALL, CLASSES };

struct id { u64 high, low; }; /* all zero: none */

/* What every record begins with. The part up to HASHED is what two events of one behaviour have in common. */
struct header {
    u32 type;
    u32 flags; /* PATH_* of the first path, class-specific bits from 256 up */
    u64 cgroup;
    struct id context; /* of the process: its program, or all that is told at exec */
    u32 uid, gid, effective_uid, effective_gid, login_uid, epoch;
    char comm[16];
    u64 at; /* nanoseconds since boot */
    u64 start;
    u64 parent_start;
    u32 tgid, parent_tgid, netns, generation;
    struct id key; /* of the behaviour; none: it is not to be remembered */
    struct id process, parent; /* all that they are (contexts.h), by which the agent finds them; none: not told of */
};

#define HASHED offsetof(struct header, at)

/* What rules ask of a task beyond the header; follows it in the records of EXEC and SYSCALL. */
struct identity {
    u64 effective, permitted, inheritable;
    u32 thread, virtual_pid, virtual_thread, group, virtual_group, session, virtual_session, unused;
};

/* bpf_probe_read_user and its _str by names BCC does not know: for each use of theirs it reads all of /proc/kallsyms. */
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*read_user_text)(void *to, u32 size, const void *from) = (void *)114;

/* The compiler keeps copies of what it checks, and older verifiers know only of the one that was compared. The number
 * itself, to be compared from here on; and the number, or 0 if it is more than `most`. */
#define AFRESH(number)                                                                   \
    ({                                                                                   \
        u64 _number = (number);                                                          \
        asm volatile("" : "+r"(_number));                                                \
        _number;                                                                         \
    })
#define BOUNDED(number, most)                                                            \
    ({                                                                                   \
        u64 _number = (number);                                                          \
        asm volatile("if %0 <= %1 goto +1\n\t%0 = 0" : "+r"(_number) : "i"(most));       \
        _number;                                                                         \
    })

struct counts { u64 seen, suppressed, submitted, dropped, known; };

#define RECORD_MAX 17408
#define FIRST 5120 /* where the first, second, third and fourth text of a record must end */
#define SECOND 9216
#define THIRD 13312
#define FOURTH 17408
#define HERE -100 /* AT_FDCWD */
#define STEPS 64 /* path parts and mount crossings that are followed */

/* A record under construction. `end` lives in memory, not in registers, so that the verifier need not follow every
 * value it can have through the walks: that is the difference between milliseconds and seconds at the start. */
struct scratch {
    u64 busy;
    volatile u64 end;
    char record[RECORD_MAX + 8]; /* room for the last word of a hash */
};

/* The first two maps: the numbers below rely on it. Processes and containers have a ring of their own, so that no flood of
 * files or connections can push them out. */
BPF_RINGBUF_OUTPUT(bulk, BULK_PAGES);
BPF_RINGBUF_OUTPUT(critical, CRITICAL_PAGES);
#define BULK ((void *)bpf_pseudo_fd(1, -1))
#define CRITICAL ((void *)bpf_pseudo_fd(1, -2))

/* What differs from one run of the agent to the next is no part of the text; and what the agent changes while it runs: the
 * generation of the rules and profiles in force, and its rounds. */
struct begun { u64 self, hash_key_0, hash_key_1; };
struct control { u64 generation, round; };
/* What the hooks keep for all CPUs: how often what was judged may have got another meaning (recent.h), and how far from the
 * beginning of its stack a task's registers are. */
struct noted { u64 changes, registers_at; };
BPF_ARRAY(begun, struct begun, 1);
BPF_ARRAY(control, struct control, 1);
BPF_ARRAY(noted, struct noted, 1);

/* The values themselves: the kernel puts their addresses into the program, and nothing is looked up. The numbers are those
 * of agent/probe/compile.py. */
#define BEGUN ((struct begun *)bpf_pseudo_fd(2, NUMBER_OF_begun))
#define CONTROL ((struct control *)bpf_pseudo_fd(2, NUMBER_OF_control))
#define NOTED ((struct noted *)bpf_pseudo_fd(2, NUMBER_OF_noted))

#define SELF BEGUN->self
#define HASH_KEY_0 BEGUN->hash_key_0
#define HASH_KEY_1 BEGUN->hash_key_1
#define GENERATION CONTROL->generation
#define ROUND CONTROL->round

BPF_PERCPU_ARRAY(counters, struct counts, CLASSES);
BPF_PERCPU_ARRAY(scratches, struct scratch, 1);

#define RESULT 6
#define NONE 7 /* a slot that is always zero */
#define HOW 8
#define PLAIN 14 /* in place of a directory: the text is no path */
#define SLOTS 16 /* the last one: HERE */

#define FMODE_CREATED 0x100000
#define OPEN_CREATED 256 /* of a file's flags */

/* How to tell of one system call; agent/probe/syscalls.py fills these in. Slots are where a value of the call is: its
 * arguments (0-5), its result, zero, or the words of its struct open_how. */
struct spec {
    u16 told;
    u8 traits;
    u8 descriptor, listener, flags, how;
    u8 address, address_length, message, buffer, size;
    u8 names[3], directories[3];
    u16 constants; /* slots that belong to the behaviour */
    u8 mode;       /* of an opening; it counts when that may make a file */
};
BPF_ARRAY(specs, struct spec, 512);

#define TELL_SUCCESS 1
#define TELL_FAILURE 2
#define TELL_READS 4      /* openings that succeed and only read */
#define TELL_TCP 8        /* what goes over TCP */
#define TELL_CONNECTED 16 /* what goes over sockets that are connected */
#define TELL_LOCAL 32     /* descriptors that are no internet sockets */
#define TELL_ENVIRONMENT 64
#define TELL_INTERNET 128

/* From 6.2 on the kernel turns a load through bpf_rdonly_cast into instructions that survive faults, which is a tenth of a
 * helper call's cost. The constant in place of the call's number is known to agent/probe/program.py. */
static u64 (*read_only_cast)(u64 pointer, u64 type) = (void *)RDONLY_CAST_CALL;

#define CAST(pointer)                                                                        \
    (CAN_CAST && TYPE_OF(pointer) ? (typeof(pointer))read_only_cast((u64)(pointer), TYPE_OF(pointer)) : (pointer))

#define LOAD(word, from, offset)                                                              \
    asm volatile("%0 = *(" #word " *)(%1 + %2)" : "=r"(_raw) : "r"(from), "i"((offset) & 0x7fff))

#define OFFSET(pointer, member) ((u64)&((typeof(pointer))0)->member)

/* Reads a member of a kernel structure through a pointer whose type the kernel knows: one that was cast, or the running
 * task, which it trusts so that not even a fault need be survived. Zero when the pointer is wrong. Members that this
 * kernel lacks are at an offset that is none (agent/probe/btf.py): they read as zero, too. */
#define FOLLOW(pointer, member)                                                              \
    ({                                                                                       \
        typeof(pointer) _from = (pointer);                                                   \
        typeof(_from->member) _value = 0;                                                    \
        const u64 _offset = OFFSET(pointer, member), _size = sizeof(_value);                 \
        if (_offset <= 0x7ff8 && CAN_CAST && TYPE_OF(pointer)) {                             \
            u64 _raw = 0;                                                                    \
            if (_size == 8)                                                                  \
                LOAD(u64, _from, _offset);                                                   \
            else if (_size == 4)                                                             \
                LOAD(u32, _from, _offset);                                                   \
            else if (_size == 2)                                                             \
                LOAD(u16, _from, _offset);                                                   \
            else                                                                             \
                LOAD(u8, _from, _offset);                                                    \
            _value = (typeof(_value))_raw;                                                   \
        } else if (_offset < NOWHERE) {                                                      \
            bpf_probe_read_kernel(&_value, _size, (void *)&_from->member);                   \
        }                                                                                    \
        _value;                                                                              \
    })

/* The same through any pointer. */
#define READ(pointer, member) FOLLOW(CAST(pointer), member)

/* `size` bytes that begin at the member. */
#define READ_BYTES(to, size, pointer, member)                                                \
    ({                                                                                       \
        if (OFFSET(pointer, member) < NOWHERE)                                               \
            bpf_probe_read_kernel(to, size, (void *)&(pointer)->member);                     \
    })

/* Only files and system calls are counted from one kind of program, which nothing interrupts on its CPU. */
static __always_inline void count(int class, u32 offset) {
    struct counts *counts = counters.lookup(&class);
    if (!counts)
        return;
    u64 *number = (void *)counts + offset;
    if (class == OPEN || class == SYSCALL)
        *number += 1;
    else
        lock_xadd(number, 1);
}

#define COUNT(class, field) count(class, offsetof(struct counts, field))

/* An opening or a system call that is seen and ends at once. */
static __always_inline void count_ended(int class, u32 known) {
    struct counts *counts = counters.lookup(&class);
    if (!counts)
        return;
    counts->seen += 1;
    counts->suppressed += 1;
    counts->known += known;
}

static __always_inline struct cgroup *chosen_cgroup(struct task_struct *task) {
    struct css_set *set = READ(task, cgroups);
#if CGROUP_VERSION == 1
    struct cgroup_subsys_state *state = READ(set, subsys[CGROUP_SUBSYSTEM]);
    return READ(state, cgroup);
#else
    return READ(set, dfl_cgrp);
#endif
}

static __always_inline u64 cgroup_id(struct cgroup *cgroup) {
    struct kernfs_node *node = READ(cgroup, kn);
    return READ(node, id);
}

static __always_inline u64 group_start(struct task_struct *task) {
    struct task_struct *leader = READ(task, group_leader);
    return READ(leader, start_boottime);
}
