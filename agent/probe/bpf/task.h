/* Who acted, told in the header of each record, and the scratch that records are made in. */

/* What two events of one behaviour have in common. */
static __always_inline void begin(struct header *header, u32 type, struct task_struct *task, u64 cgroup,
                                  struct id context) {
    struct task_struct *leader = CAST(READ(task, group_leader));
    struct cred *cred = CAST(READ(task, cred));
    u64 *name = (void *)header->comm;
    header->type = type;
    header->flags = 0;
    header->cgroup = cgroup;
    header->context = context;
    header->epoch = epoch_of(cgroup);
    header->uid = FOLLOW(cred, uid_val);
    header->gid = FOLLOW(cred, gid_val);
    header->effective_uid = FOLLOW(cred, euid_val);
    header->effective_gid = FOLLOW(cred, egid_val);
#ifdef HAS_task_struct_loginuid_val
    header->login_uid = READ(task, loginuid_val);
#else
    header->login_uid = -1;
#endif
    name[0] = FOLLOW(leader, comm[0]);
    name[1] = FOLLOW(leader, comm[1]);
    header->generation = 0;
    header->key = header->parent = (struct id){};
}

/* And what only the agent wants to know. */
static __always_inline void complete(struct header *header, struct task_struct *task, struct id process) {
    struct task_struct *leader = READ(task, group_leader);
    struct task_struct *parent = READ(task, real_parent);
    struct nsproxy *proxy = READ(task, nsproxy);
    struct net *net = READ(proxy, net_ns);
    header->at = bpf_ktime_get_boot_ns();
    header->start = READ(leader, start_boottime);
    header->parent_start = group_start(parent);
    header->tgid = READ(task, tgid);
    header->parent_tgid = READ(parent, tgid);
    header->netns = READ(net, ns_inum);
    header->process = process;
}

static __always_inline void fill(struct header *header, u32 type, struct task_struct *task, u64 cgroup,
                                 struct id context, struct id process) {
    begin(header, type, task, cgroup, context);
    complete(header, task, process);
}

/* For what profiles look at. */
static __always_inline void fill_by_program(struct header *header, u32 type, struct task_struct *task, u64 cgroup) {
    struct context context = context_of(task);
    fill(header, type, task, cgroup, context.program, context.whole);
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

/* Where a task's registers are, seen from the beginning of its stack, is the same for all: the helper that tells it costs
 * as much as all reads of an opening. A pointer that is written to memory and read back is a plain number. */
BPF_PERCPU_ARRAY(registers_found, u64, 1);

static __always_inline u64 find_registers(struct task_struct *task) {
    int zero = 0;
    volatile u64 *number = registers_found.lookup(&zero);
    if (!number)
        return 0;
    *number = (u64)bpf_task_pt_regs(task);
    u64 found = *number;
    NOTED->registers_at = found - (u64)FOLLOW(task, stack);
    return found;
}

/* Of the running task, as its files below. */
static __always_inline struct pt_regs *arguments(struct task_struct *task) {
    u64 at = NOTED->registers_at;
    return (void *)(at ? (u64)FOLLOW(task, stack) + at : find_registers(task));
}

static __always_inline struct fdtable *files_of(struct task_struct *task) {
    struct files_struct *files = FOLLOW(task, files);
    return CAST(FOLLOW(files, fdt));
}

static __always_inline struct file *file_at(struct fdtable *table, u32 descriptor) {
    struct file **slots = FOLLOW(table, fd);
    struct vfsmount *slot = (void *)(slots + descriptor); /* any structure that begins with a pointer */
    return (void *)READ(slot, mnt_root);
}

static __always_inline struct file *file_of(struct task_struct *task, u32 descriptor) {
    struct fdtable *table = files_of(task);
    return descriptor < FOLLOW(table, max_fds) ? file_at(table, descriptor) : 0;
}

/* Of a descriptor that the kernel has just given: its table never shrinks. */
static __always_inline struct file *new_file_of(struct task_struct *task, u32 descriptor) {
    return file_at(files_of(task), descriptor);
}
