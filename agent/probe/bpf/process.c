/* Processes: born, replaced their program, ended.
 *
 * Safe: raw tracepoints of the scheduler; they cost only fork, exec and exit, and read task structures that the
 * current context holds. Misses: processes that were there before (agent.running reads those), and changes of
 * arguments by the process itself after exec. Thread creation is left out on purpose. */

#define EXEC_ARGUMENTS_TRUNCATED 256
#define EXEC_MEMFD 1024
#define EXEC_AT 4096

struct exec_record {
    struct header header; /* its context: what the process was before; its key: what it is now */
    struct identity identity;
    struct id before;
    u32 ancestors_count, unused;
    struct ancestor ancestors[ANCESTORS];
    u64 inode, changed, modified; /* times in seconds, and nanoseconds below; from here on all is of the context */
    u32 changed_rest, modified_rest, owner, owner_group, mode, tty_device;
    u32 path_length, directory_length, arguments_length, environment_length, directory_flags, unused_too;
    char tty[16];
};

/* busybox, toybox, coreutils: which program one of these is, its arguments decide (agent.behaviours). */
static __always_inline int is_many_in_one(struct file *file) {
    struct dentry *dentry = READ(file, f_path_dentry);
    u64 name[2] = {};
    bpf_probe_read_kernel(name, 12, READ(dentry, d_name_name));
    return (name[0] & 0xffffffffffffffULL) == 0x786f6279737562ULL || (name[0] & 0xffffffffffffULL) == 0x786f62796f74ULL ||
           (name[0] == 0x6c69747565726f63ULL && (name[1] & 0xffff) == 0x73);
}

static __always_inline u32 executable_flags(struct file *file, struct inode *inode) {
    u32 flags = layer_flags(inode);
    struct dentry *dentry = READ(file, f_path_dentry);
    char name[8] = {};
    bpf_probe_read_kernel(name, 6, READ(dentry, d_name_name));
    if (READ(dentry, d_parent) == dentry && name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' &&
        name[4] == 'd' && name[5] == ':')
        flags |= EXEC_MEMFD;
    return flags;
}

static __always_inline void add_ancestors(struct exec_record *record, struct task_struct *task) {
    u32 count = 0;
    for (int i = 0; i < ANCESTORS; i++) {
        task = above(task);
        if (!READ(task, tgid))
            break;
        name_ancestor(&record->ancestors[i], task);
        count = i + 1;
    }
    record->ancestors_count = count;
}

static __always_inline void append_arguments(struct scratch *scratch, struct exec_record *record,
                                             struct mm_struct *mm) {
    u64 start = READ(mm, arg_start);
    u64 length = READ(mm, arg_end) - start;
    u64 end = scratch->end;
    record->arguments_length = 0;
    if (length > 4095) {
        length = 4095;
        record->header.flags |= EXEC_ARGUMENTS_TRUNCATED;
    }
    if (end > SECOND)
        return;
    if (read_user(scratch->record + end, length, (void *)start)) {
        record->header.flags |= EXEC_ARGUMENTS_TRUNCATED;
        return;
    }
    record->arguments_length = length;
    scratch->end = end + length;
}

static __always_inline void append_environment(struct scratch *scratch, struct exec_record *record,
                                               struct mm_struct *mm) {
    u32 number = NR_execve;
    struct spec *spec = specs.lookup(&number);
    record->environment_length = 0;
    if (!spec || !(spec->told & TELL_ENVIRONMENT))
        return;
    u64 start = READ(mm, env_start);
    u64 length = READ(mm, env_end) - start;
    u64 end = scratch->end;
    if (length > 4096)
        length = 4096;
    if (end > THIRD || read_user(scratch->record + end, length, (void *)start))
        return;
    record->environment_length = length;
    scratch->end = end + length;
}

static __always_inline void describe_executable(struct exec_record *record, struct inode *inode) {
    record->inode = READ(inode, i_ino);
    record->changed = READ(inode, i_ctime_sec);
    record->changed_rest = READ(inode, i_ctime_nsec) & 0x3fffffff; /* above it kernels keep a flag */
    record->modified = READ(inode, i_mtime_sec);
    record->modified_rest = READ(inode, i_mtime_nsec);
    record->owner = READ(inode, i_uid_val);
    record->owner_group = READ(inode, i_gid_val);
    record->mode = READ(inode, i_mode);
}

static __always_inline void describe_terminal(struct exec_record *record, struct task_struct *task) {
    struct signal_struct *signal = READ(task, signal);
    struct tty_struct *tty = READ(signal, tty);
    struct tty_driver *driver = READ(tty, driver);
    __builtin_memset(record->tty, 0, sizeof(record->tty));
    record->tty_device = 0;
    if (!tty)
        return;
    record->tty_device = READ(driver, major) << 20 | (READ(driver, minor_start) + READ(tty, index));
    bpf_probe_read_kernel_str(record->tty, sizeof(record->tty), (void *)&tty->name);
}

#define CONTEXT_FROM offsetof(struct exec_record, inode)
#define WORDS_OF_ARGUMENT 8 /* of the first two arguments */

/* What each ancestor is, for the agent to find those that it was not told of. */
static __always_inline void add_contexts(struct exec_record *record, struct task_struct *task) {
    u32 count = record->ancestors_count;
#pragma clang loop unroll(disable)
    for (int i = 0; i < ANCESTORS && i < count; i++) {
        u64 at = AFRESH(i);
        if (at >= ANCESTORS)
            break;
        task = above(task);
        record->ancestors[at].whole = context_of(task).whole;
    }
}

/* Of the ancestors, as they are called at that moment. */
static __always_inline void hash_names(struct hash *hash, struct exec_record *record) {
    u32 count = record->ancestors_count;
    hash_word(hash, count);
#pragma clang loop unroll(disable)
    for (int i = 0; i < ANCESTORS && i < count; i++) {
        u64 at = AFRESH(i);
        if (at >= ANCESTORS)
            break;
        hash_name(hash, &record->ancestors[at]);
    }
}

static __always_inline struct id whole_context(struct scratch *scratch, struct exec_record *record,
                                               struct id parent) {
    struct hash hash;
    hash_header(&hash, &record->header);
    hash_word(&hash, record->identity.effective);
    hash_word(&hash, record->identity.permitted);
    hash_word(&hash, record->identity.inheritable);
    hash_word(&hash, record->identity.virtual_pid == 1);
    hash_id(&hash, parent);
    hash_names(&hash, record);
    if (!hash_texts(&hash, scratch, CONTEXT_FROM, scratch->end, MOST_WORDS_OF_EXEC)) {
        hash_word(&hash, record->header.start);
        hash_word(&hash, record->header.at);
    }
    return hash_end(&hash);
}

static __always_inline u32 hash_argument(struct hash *hash, struct scratch *scratch, u64 at) {
    u64 words[WORDS_OF_ARGUMENT] = {};
    if (at > RECORD_MAX - 64)
        return 0;
    long length = bpf_probe_read_kernel_str(words, sizeof(words), scratch->record + at);
#pragma clang loop unroll(disable)
    for (int i = 0; i < WORDS_OF_ARGUMENT; i++)
        hash_word(hash, words[i]);
    return length > 0 ? length : 0;
}

/* The program as profiles name it: by its path, and by its first arguments where they choose it. */
static __always_inline struct id program_context(struct scratch *scratch, struct exec_record *record,
                                                 struct file *file) {
    struct hash hash;
    hash_begin(&hash);
    hash_word(&hash, OF_PROGRAM);
    hash_word(&hash, record->header.flags);
    u64 end = sizeof(struct exec_record) + record->path_length;
    if (!hash_texts(&hash, scratch, sizeof(struct exec_record), end, MOST_WORDS))
        return (struct id){};
    if (is_many_in_one(file) && record->arguments_length) {
        u64 at = sizeof(struct exec_record) + record->path_length + record->directory_length;
        at += hash_argument(&hash, scratch, at);
        hash_argument(&hash, scratch, at);
    }
    return hash_end(&hash);
}

static __always_inline int has_children(struct task_struct *task) {
    return READ(task, children_next) != (void *)&task->children_next;
}

/* Of no other process it is asked what this one is: it has no children yet, and leads no session. Else the agent must
 * know of its execution when it happens. */
static __always_inline int is_alone(struct header *header, struct identity *identity, int is_parent) {
    return !is_parent && identity->session != header->tgid;
}

/* Its children's ancestors are others from now on, and no key of theirs says so. */
static __always_inline void announce_to_children(u64 cgroup) {
    struct share *share = share_of(cgroup);
    if (share)
        lock_xadd(&share->epoch, 1);
    forget_recent();
}

int process_exec(struct bpf_raw_tracepoint_args *ctx) {
    struct task_struct *task = (void *)ctx->args[0];
    COUNT(EXEC, seen);
    struct context before = context_of(task), context = { .told = before.told };
    u64 cgroup = cgroup_id(chosen_cgroup(task));
    int is_parent = has_children(task);
    if (is_parent) {
        announce_to_children(cgroup);
        set_context(task, &(struct context){ .told = 1 }); /* until the agent can know better */
    }
    struct scratch *scratch = borrow(EXEC, sizeof(struct exec_record));
    if (!scratch) {
        set_context(task, &(struct context){ .told = 1 });
        return 0;
    }
    struct exec_record *record = (void *)scratch->record;
    fill(&record->header, EXEC, task, cgroup, before.whole, (struct id){});
    record->before = before.whole;
    struct mm_struct *mm = READ(task, mm);
    struct file *file = READ(mm, exe_file);
    struct inode *inode = READ(file, f_inode);
    struct fs_struct *fs = READ(task, fs);
    struct linux_binprm *program = (void *)ctx->args[2];
    identify(&record->identity, task);
    describe_executable(record, inode);
    describe_terminal(record, task);
    record->header.flags = append_file(scratch, FIRST, task, file) | executable_flags(file, inode);
    if (READ(program, fdpath)) /* x86 makes the number of the system call that of execve */
        record->header.flags |= EXEC_AT;
    record->path_length = scratch->end - sizeof(struct exec_record);
    record->directory_flags = append_path(scratch, SECOND, task, READ(fs, pwd_mnt), READ(fs, pwd_dentry));
    record->directory_length = scratch->end - sizeof(struct exec_record) - record->path_length;
    append_arguments(scratch, record, mm);
    append_environment(scratch, record, mm);
    add_ancestors(record, task);
    record->unused = record->unused_too = 0;
    struct id parent = context_of(READ(task, real_parent)).whole; /* it need not be the one that forked it */
    if (!is_none(before.whole) && !is_none(parent)) {
        context.whole = whole_context(scratch, record, parent);
        context.program = program_context(scratch, record, file);
        record->header.process = context.whole;
    }
    if (is_alone(&record->header, &record->identity, is_parent) &&
        is_known_as(&record->header, context.whole, EXEC)) {
        release(scratch);
    } else {
        context.told = 1;
        add_contexts(record, task);
        if (!hand_over(scratch, EXEC))
            context = (struct context){ .told = 1 };
    }
    set_context(task, &context);
    return 0;
}

struct fork_record { struct header header; u64 child_start; u32 child, unused; struct id became; struct identity identity; };

static __always_inline struct context forked(struct context *parent) {
    struct context child = { .program = parent->program, .told = 0 };
    if (is_none(parent->whole))
        return child;
    struct hash hash;
    hash_begin(&hash);
    hash_word(&hash, OF_FORK);
    hash_id(&hash, parent->whole);
    child.whole = hash_end(&hash);
    return child;
}

int process_fork(struct bpf_raw_tracepoint_args *ctx) {
    struct task_struct *parent = (void *)ctx->args[0];
    struct task_struct *child = (void *)ctx->args[1];
    if (READ(child, tgid) != READ(child, pid))
        return 0;
    COUNT(FORK, seen);
    struct context context = context_of(parent);
    struct fork_record record = {};
    fill(&record.header, FORK, parent, cgroup_id(chosen_cgroup(parent)), context.whole, context.whole);
    context = forked(&context);
    if (is_known_as(&record.header, context.whole, FORK)) {
        set_context(child, &context);
        return 0;
    }
    record.became = context.whole;
    record.child = READ(child, tgid);
    record.child_start = READ(child, start_boottime);
    identify(&record.identity, child);
    context.told = 1;
    if (!submit(FORK, &record.header, &record, sizeof(record)))
        context = (struct context){ .told = 1 };
    set_context(child, &context);
    return 0;
}

struct exit_record { struct header header; u32 status, unused; };

#ifndef EXIT_TELLS_GROUP_DEAD
/* Two last threads can both find no live one left; the first to come here reports the end. */
struct group { u64 start; u64 tgid; };
BPF_TABLE("lru_hash", struct group, u8, ended, 4096);
#endif

int process_exit(struct bpf_raw_tracepoint_args *ctx) {
    struct task_struct *task = (void *)ctx->args[0];
    struct signal_struct *signal = READ(task, signal);
#ifdef EXIT_TELLS_GROUP_DEAD
    if (!(ctx->args[1] & 1))
        return 0;
#else
    if (READ(signal, live_counter))
        return 0;
    struct group group = { .start = group_start(task), .tgid = READ(task, tgid) };
    u8 one = 1;
    if (ended.insert(&group, &one))
        return 0;
#endif
    COUNT(EXIT, seen);
    struct process process = process_of(task);
    struct context *context = contexts.lookup(&process);
    if (context && !context->told) {
        COUNT(EXIT, suppressed);
        COUNT(EXIT, known);
        contexts.delete(&process);
        return 0;
    }
    struct exit_record record = {};
    fill(&record.header, EXIT, task, cgroup_id(chosen_cgroup(task)), (struct id){},
         context ? context->whole : (struct id){});
    struct task_struct *leader = READ(task, group_leader);
    record.status = READ(signal, flags) & 4 /* SIGNAL_GROUP_EXIT */ ? READ(signal, group_exit_code)
                                                                    : READ(leader, exit_code);
    submit(EXIT, &record.header, &record, sizeof(record));
    contexts.delete(&process);
    return 0;
}
