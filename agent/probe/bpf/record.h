/* Records, counters and walks that every hook family shares. agent/probe/decode.py reads these layouts.
 *
 * All kernel reads go through bpf_probe_read_kernel on offsets from BTF: a wrong pointer yields zeros, never a fault.
 * Counts are atomic, so that seen = suppressed + submitted + dropped holds although cgroup programs can be preempted. */

#define __always_inline inline __attribute__((always_inline))

enum event_class { EXEC, FORK, EXIT, OPEN, UNLINK, RENAME, CHMOD, LISTEN, BIND, CONNECT, CAPABILITY, BIRTH, DEATH,
                   SYSCALL, CLASSES };

struct header {
    u32 type;
    u32 flags; /* PATH_* of the first path, class-specific bits from 256 up */
    u64 at;    /* nanoseconds since boot */
    u64 cgroup;
    u64 start;
    u64 parent_start;
    u32 tgid, parent_tgid, uid, gid, login_uid, netns;
    char comm[16];
};

/* What rules ask of a task beyond the header; follows it in the records of EXEC and SYSCALL. */
struct identity {
    u64 effective, permitted, inheritable;
    u32 thread, effective_uid, effective_gid, virtual_pid, virtual_thread;
    u32 group, virtual_group, session, virtual_session, unused;
};

/* bpf_probe_read_user and its _str by names BCC does not know: for each use of theirs it reads all of /proc/kallsyms. */
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*read_user_text)(void *to, u32 size, const void *from) = (void *)114;

struct counts { u64 seen, suppressed, submitted, dropped; };

#define RECORD_MAX 17408
#define FIRST 5120 /* where the first, second, third and fourth text of a record must end */
#define SECOND 9216
#define THIRD 13312
#define FOURTH 17408
#define STEPS 64 /* path parts and mount crossings that are followed */

/* A record under construction. `end` lives in memory, not in registers, so that the verifier need not follow every
 * value it can have through the walks: that is the difference between milliseconds and seconds at the start. */
struct scratch {
    u64 busy;
    volatile u64 end;
    char record[RECORD_MAX];
};

BPF_RINGBUF_OUTPUT(ring, RING_PAGES); /* the first map: RING below relies on it */
BPF_PERCPU_ARRAY(counters, struct counts, CLASSES);
BPF_PERCPU_ARRAY(scratches, struct scratch, 1);
BPF_F_TABLE("hash", u64, u8, ignored, 65536, 1); /* 1: allocate on use */

/* How to tell of one system call; agent/probe/syscalls.py fills these in. Slots are where a value of the call is: its
 * arguments (0-5), its result, zero, or the words of its struct open_how. */
struct spec {
    u16 told;
    u8 traits;
    u8 descriptor, listener, flags, how;
    u8 address, address_length, message, buffer, size;
    u8 names[3], directories[3];
};
BPF_ARRAY(specs, struct spec, 512);

#define TELL_SUCCESS 1
#define TELL_FAILURE 2
#define TELL_READS 4      /* openings that succeed and only read */
#define TELL_TCP 8        /* what goes over TCP */
#define TELL_CONNECTED 16 /* what goes over sockets that are connected */
#define TELL_LOCAL 32     /* descriptors that are no internet sockets */
#define TELL_ENVIRONMENT 64

#define RING ((void *)bpf_pseudo_fd(1, -1))

#define READ(pointer, member)                                                                \
    ({                                                                                       \
        typeof((pointer)->member) _value;                                                    \
        bpf_probe_read_kernel(&_value, sizeof(_value), (void *)&(pointer)->member);          \
        _value;                                                                              \
    })

static __always_inline void count(int class, u32 offset) {
    struct counts *counts = counters.lookup(&class);
    if (counts)
        lock_xadd((u64 *)((void *)counts + offset), 1);
}

#define COUNT(class, field) count(class, offsetof(struct counts, field))

/* Process and cgroup events keep the last quarter of the ring: a flood of files can not push them out. */
static __always_inline int has_room(u32 class) {
    if (class == EXEC || class == FORK || class == EXIT || class == BIRTH || class == DEATH)
        return 1;
    return bpf_ringbuf_query(RING, 0 /* BPF_RB_AVAIL_DATA */) < RING_PAGES * 4096ULL / 4 * 3;
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

static __always_inline u64 executable_inode(struct task_struct *task) {
    struct mm_struct *mm = READ(task, mm);
    struct file *file = READ(mm, exe_file);
    struct inode *inode = READ(file, f_inode);
    return READ(inode, i_ino);
}

static __always_inline void fill(struct header *header, u32 type, struct task_struct *task, u64 cgroup) {
    struct task_struct *leader = READ(task, group_leader);
    struct task_struct *parent = READ(task, real_parent);
    struct cred *cred = READ(task, cred);
    struct nsproxy *proxy = READ(task, nsproxy);
    struct net *net = READ(proxy, net_ns);
    header->type = type;
    header->flags = 0;
    header->at = bpf_ktime_get_boot_ns();
    header->cgroup = cgroup;
    header->start = READ(leader, start_boottime);
    header->parent_start = group_start(parent);
    header->tgid = READ(task, tgid);
    header->parent_tgid = READ(parent, tgid);
    header->uid = READ(cred, uid_val);
    header->gid = READ(cred, gid_val);
#ifdef HAS_task_struct_loginuid_val
    header->login_uid = READ(task, loginuid_val);
#else
    header->login_uid = -1;
#endif
    header->netns = READ(net, ns_inum);
    bpf_probe_read_kernel(header->comm, sizeof(header->comm), (void *)&leader->comm);
}

/* The number a process id, group or session has in the namespace of that level; 0 when it is outside of it. */
static __always_inline u32 number_at(struct pid *pid, u32 level) {
    u32 number = 0;
    if (READ(pid, level) >= level)
        bpf_probe_read_kernel(&number, sizeof(number), (void *)&pid->numbers + level * SIZE_upid);
    return number;
}

static __always_inline void identify(struct identity *identity, struct task_struct *task) {
    struct cred *cred = READ(task, cred);
    struct signal_struct *signal = READ(task, signal);
    struct pid *thread = READ(task, thread_pid);
    struct pid *process = READ(signal, pids[1]);
    struct pid *group = READ(signal, pids[2]);
    struct pid *session = READ(signal, pids[3]);
    u32 level = READ(thread, level);
    identity->effective = READ(cred, cap_effective);
    identity->permitted = READ(cred, cap_permitted);
    identity->inheritable = READ(cred, cap_inheritable);
    identity->thread = READ(task, pid);
    identity->effective_uid = READ(cred, euid_val);
    identity->effective_gid = READ(cred, egid_val);
    identity->virtual_pid = number_at(process, level);
    identity->virtual_thread = number_at(thread, level);
    identity->group = number_at(group, 0);
    identity->virtual_group = number_at(group, level);
    identity->session = number_at(session, 0);
    identity->virtual_session = number_at(session, level);
    identity->unused = 0;
}

static __always_inline void release(struct scratch *scratch) {
    __sync_fetch_and_add(&scratch->busy, -1);
}

/* The per-CPU scratch. Tracepoints run with preemption off on kernels known today; should one ever be entered while
 * another uses the scratch, the second is counted as dropped instead of mixing two records. */
static __always_inline struct scratch *borrow(u32 class, u32 fixed_size) {
    int zero = 0;
    struct scratch *scratch = scratches.lookup(&zero);
    if (!scratch)
        return 0;
    if (__sync_fetch_and_add(&scratch->busy, 1)) {
        release(scratch);
        COUNT(class, dropped);
        return 0;
    }
    scratch->end = fixed_size;
    return scratch;
}

/* Hands the record over, counts it, frees the scratch. */
static __always_inline void hand_over(struct scratch *scratch, u32 class) {
    struct header *record = (void *)scratch->record; /* BCC's rewriter dies on an array here */
    u64 size = scratch->end;
    int error = -1;
    if (size <= RECORD_MAX && has_room(class))
        error = ring.ringbuf_output(record, size, 0);
    if (error)
        COUNT(class, dropped);
    else
        COUNT(class, submitted);
    release(scratch);
}

#define PATH_OUTSIDE 1   /* not below the process's root: told from the mount namespace's root */
#define PATH_DETACHED 2  /* no directory leads there: memfd, pipes */
#define PATH_TRUNCATED 4 /* more parts than STEPS, or than fit: the leading ones are missing */

/* Appends the names from the leaf up to the process's root, each ended by NUL, and returns PATH_ flags. */
static __always_inline u32 append_path(struct scratch *scratch, u32 limit, struct task_struct *task,
                                       struct vfsmount *vfsmount, struct dentry *dentry) {
    struct fs_struct *fs = READ(task, fs);
    struct dentry *root = READ(fs, root_dentry);
    struct vfsmount *root_mount = READ(fs, root_mnt);
    struct mount *mount = (void *)vfsmount - offsetof(struct mount, mnt);
    for (int step = 0; step < STEPS; step++) {
        if (dentry == root && (void *)&mount->mnt == (void *)root_mount)
            return 0;
        if (dentry == READ(mount, mnt_mnt_root)) {
            struct mount *parent = READ(mount, mnt_parent);
            if (parent == mount)
                return PATH_OUTSIDE;
            dentry = READ(mount, mnt_mountpoint);
            mount = parent;
            continue;
        }
        struct dentry *up = READ(dentry, d_parent);
        u64 end = scratch->end;
        if (end > limit - 256)
            break;
        long length = bpf_probe_read_kernel_str(scratch->record + end, 256, READ(dentry, d_name_name));
        if (length < 1)
            break;
        scratch->end = end + length;
        if (up == dentry)
            return PATH_DETACHED;
        dentry = up;
    }
    return PATH_TRUNCATED;
}

static __always_inline u32 append_file(struct scratch *scratch, u32 limit, struct task_struct *task,
                                       struct file *file) {
    return append_path(scratch, limit, task, READ(file, f_path_mnt), READ(file, f_path_dentry));
}

#define OVERLAYFS_MAGIC 0x794c7630
#define LAYER_UPPER 512 /* in an overlay's writable layer, or in one of those below */
#define LAYER_LOWER 2048

/* overlayfs' own inode has the upper dentry right behind the VFS inode it embeds; the structure itself is in no vmlinux
 * BTF when overlayfs is a module. */
static __always_inline u32 layer_flags(struct inode *inode) {
    struct super_block *superblock = READ(inode, i_sb);
    if (READ(superblock, s_magic) != OVERLAYFS_MAGIC)
        return 0;
    void *upper = 0;
    bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + SIZE_inode);
    return upper ? LAYER_UPPER : LAYER_LOWER;
}

static __always_inline struct pt_regs *arguments(void) {
    return (struct pt_regs *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
}

static __always_inline struct file *file_of(struct task_struct *task, u32 descriptor) {
    struct files_struct *files = READ(task, files);
    struct fdtable *table = READ(files, fdt);
    if (descriptor >= READ(table, max_fds))
        return 0;
    struct file **slots = READ(table, fd);
    struct file *file = 0;
    bpf_probe_read_kernel(&file, sizeof(file), slots + descriptor);
    return file;
}
