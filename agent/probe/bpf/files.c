/* Files removed, renamed, given another mode; and whatever else changes what names lead to.
 *
 * Safe: exit tracepoints of the system calls themselves; they run after the act, can not change it, and take nothing
 * but reads. Failed calls end at the first comparison. These acts leave no trace of the file, so their path is the
 * kernel's directory (working directory or the descriptor given) and the text from user memory, which another thread
 * could change in between.
 * Misses: io_uring, 32-bit programs on a 64-bit kernel (the tracepoints are silent for them), truncate(2), link(2) and
 * mknod(2), removal of directories. */

struct syscall_exit { u64 hidden; int number; int unused; long result; };

/* A directory's path (nothing for absolute names), then a name from user memory. */
struct place { u32 directory_length, name_length, flags, unused; };

struct path_record { struct header header; struct place first, second; u32 mode, unused; };

static __always_inline int is_silent(u32 class, struct task_struct *task, u64 *cgroup) {
    COUNT(class, seen);
    *cgroup = cgroup_id(chosen_cgroup(task));
    if (READ(task, tgid) != SELF && !is_ignored(*cgroup))
        return 0;
    COUNT(class, suppressed);
    return 1;
}

static __always_inline void append_name(struct scratch *scratch, u32 limit, struct place *place, u64 name) {
    u64 end = scratch->end;
    place->name_length = 0;
    if (!name || end > limit - 2048)
        return;
    long length = read_user_text(scratch->record + end, 2048, (void *)name);
    if (length < 1)
        return;
    place->name_length = length;
    scratch->end = end + length;
}

static __always_inline void append_place(struct scratch *scratch, u32 limit, struct place *place,
                                         struct task_struct *task, int descriptor, u64 name) {
    u64 begin = scratch->end;
    char first = 0;
    read_user(&first, 1, (void *)name);
    place->flags = 0;
    place->unused = 0;
    if (first != '/') {
        struct fs_struct *fs = READ(task, fs);
        struct file *file = descriptor == HERE ? 0 : file_of(task, descriptor);
        struct vfsmount *mount = descriptor == HERE ? READ(fs, pwd_mnt) : READ(file, f_path_mnt);
        struct dentry *dentry = descriptor == HERE ? READ(fs, pwd_dentry) : READ(file, f_path_dentry);
        place->flags = append_path(scratch, limit - 2048, task, mount, dentry);
    }
    place->directory_length = scratch->end - begin;
    append_name(scratch, limit, place, name);
}

/* Both paths and the mode are the object. */
static __always_inline void hand_over_path(struct scratch *scratch, u32 class) {
    struct path_record *record = (void *)scratch->record;
    struct hash hash;
    hash_header(&hash, &record->header);
    if (hash_texts(&hash, scratch, sizeof(struct header), scratch->end, MOST_WORDS) &&
        is_known(&record->header, &hash, class))
        release(scratch);
    else
        hand_over(scratch, class);
}

static __always_inline int report_path(u32 class, struct task_struct *task, u64 cgroup, int descriptor, u64 name,
                                       u32 mode) {
    struct scratch *scratch = borrow(class, sizeof(struct path_record));
    if (!scratch)
        return 0;
    struct path_record *record = (void *)scratch->record;
    fill_by_program(&record->header, class, task, cgroup);
    record->mode = mode;
    record->unused = 0;
    record->second = (struct place){};
    append_place(scratch, FIRST, &record->first, task, descriptor, name);
    hand_over_path(scratch, class);
    return 0;
}

int file_unlink(struct syscall_exit *ctx) {
    if (ctx->result < 0)
        return 0;
    struct task_struct *task = (void *)bpf_get_current_task_btf();
    struct pt_regs *registers = arguments(task);
    int at = ctx->number == NR_unlinkat;
    if (at && READ(registers, ARG2) & 0x200) /* AT_REMOVEDIR */
        return 0;
    u64 cgroup = 0;
    if (is_silent(UNLINK, task, &cgroup))
        return 0;
    return report_path(UNLINK, task, cgroup, at ? READ(registers, ARG0) : HERE,
                       at ? READ(registers, ARG1) : READ(registers, ARG0), 0);
}

int file_chmod(struct syscall_exit *ctx) {
    if (ctx->result < 0)
        return 0;
    struct task_struct *task = (void *)bpf_get_current_task_btf();
    struct pt_regs *registers = arguments(task);
    u64 cgroup = 0;
    if (is_silent(CHMOD, task, &cgroup))
        return 0;
    int descriptor = ctx->number == NR_chmod ? HERE : READ(registers, ARG0);
    u64 name = ctx->number == NR_chmod ? READ(registers, ARG0) : READ(registers, ARG1);
    u32 mode = ctx->number == NR_chmod ? READ(registers, ARG1) : READ(registers, ARG2);
    if (ctx->number == NR_fchmod) {
        mode = name;
        name = 0;
    }
    return report_path(CHMOD, task, cgroup, descriptor, name, mode);
}

int file_rename(struct syscall_exit *ctx) {
    if (ctx->result < 0)
        return 0;
    struct task_struct *task = (void *)bpf_get_current_task_btf();
    struct pt_regs *registers = arguments(task);
    forget_recent();
    u64 cgroup = 0;
    if (is_silent(RENAME, task, &cgroup))
        return 0;
    int plain = ctx->number == NR_rename;
    struct scratch *scratch = borrow(RENAME, sizeof(struct path_record));
    if (!scratch)
        return 0;
    struct path_record *record = (void *)scratch->record;
    fill_by_program(&record->header, RENAME, task, cgroup);
    record->mode = 0;
    record->unused = 0;
    append_place(scratch, FIRST, &record->first, task, plain ? HERE : READ(registers, ARG0),
                 plain ? READ(registers, ARG0) : READ(registers, ARG1));
    append_place(scratch, SECOND, &record->second, task, plain ? HERE : READ(registers, ARG2),
                 plain ? READ(registers, ARG1) : READ(registers, ARG3));
    hand_over_path(scratch, RENAME);
    return 0;
}

/* What is mounted, moved or taken away changes what paths lead to. */
int mounts_changed(struct syscall_exit *ctx) {
    if (ctx->result >= 0)
        forget_recent();
    return 0;
}
