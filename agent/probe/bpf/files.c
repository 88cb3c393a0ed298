/* Files opened to be written or created, sensitive ones opened to be read, removed, renamed, given another mode.
 *
 * Safe: exit tracepoints of the system calls themselves; they run after the act, can not change it, and take nothing
 * but reads. Failed calls end at the first comparison. An opened file is told by what the kernel resolved (descriptor
 * → file); unlink, rename and chmod leave no such trace, so their path is the kernel's directory (working directory or
 * the descriptor given) and the text from user memory, which another thread could change in between.
 * Misses: io_uring, open_by_handle_at, 32-bit programs on a 64-bit kernel (the tracepoints are silent for them),
 * truncate(2), link(2) and mknod(2), mmap of a file opened before the agent, removal of directories. */

#define FMODE_WRITE 2
#define FMODE_PATH 0x4000
#define FMODE_CREATED 0x100000
#define OPEN_CREATED 256
#define CREATION_FLAGS 01300 /* O_CREAT | O_EXCL | O_TRUNC: the kernel strips them from the file */
#define HERE -100            /* AT_FDCWD */
#define NAME 32

struct name { char text[NAME]; };
BPF_F_TABLE("hash", struct name, u8, sensitive, 1024, 1);

struct syscall_exit { u64 hidden; int number; int unused; long result; };

static __always_inline int is_sensitive_name(struct dentry *dentry) {
    u32 length = READ(dentry, d_name_len);
    if ( !(SENSITIVE_LENGTHS >> (length < NAME ? length : NAME - 1) & 1))
        return 0;
    struct name name = {};
    bpf_probe_read_kernel_str(name.text, NAME, READ(dentry, d_name_name));
    return sensitive.lookup(&name) != 0;
}

static __always_inline int is_sensitive(struct file *file) {
    struct dentry *dentry = READ(file, f_path_dentry);
    return is_sensitive_name(dentry) || is_sensitive_name(READ(dentry, d_parent));
}

/* Writes into kernel file systems are mostly bookkeeping of runtimes (/proc/PID, cgroups). What a container can abuse
 * to reach the host is kept: /proc/sys, sysfs, and a cgroup's release_agent. */
static __always_inline int is_noise(struct file *file, struct inode *inode) {
    struct super_block *superblock = READ(inode, i_sb);
    u64 magic = READ(superblock, s_magic);
    struct dentry *dentry = READ(file, f_path_dentry);
    char name[16] = {};
    if (magic == 0x27e0eb || magic == 0x63677270) { /* cgroup, cgroup2 */
        bpf_probe_read_kernel_str(name, sizeof(name), READ(dentry, d_name_name));
        return !(name[0] == 'r' && name[1] == 'e' && name[2] == 'l' && name[7] == '_' && name[8] == 'a');
    }
    if (magic == 0x64626720 || magic == 0x74726163) /* debugfs, tracefs */
        return 1;
    if (magic != 0x9fa0) /* procfs */
        return 0;
    for (int i = 0; i < 8; i++) {
        struct dentry *up = READ(dentry, d_parent);
        if (up == READ(up, d_parent))
            break;
        dentry = up;
    }
    bpf_probe_read_kernel_str(name, sizeof(name), READ(dentry, d_name_name));
    return !(name[0] == 's' && name[1] == 'y' && name[2] == 's' && name[3] == 0);
}

static __always_inline u32 creation_flags(int number) {
    struct pt_regs *registers = arguments();
    if (number == NR_creat)
        return 01100;
    if (number == NR_open)
        return READ(registers, ARG1) & CREATION_FLAGS;
    if (number == NR_openat)
        return READ(registers, ARG2) & CREATION_FLAGS;
    u64 flags = 0; /* openat2: the first member of struct open_how */
    read_user(&flags, sizeof(flags), (void *)READ(registers, ARG2));
    return flags & CREATION_FLAGS;
}

struct open_record { struct header header; u64 inode; u32 flags, path_length; };

int file_open(struct syscall_exit *ctx) {
    if (ctx->result < 0)
        return 0;
    struct task_struct *task = (void *)bpf_get_current_task();
    struct file *file = file_of(task, ctx->result);
    struct inode *inode = READ(file, f_inode);
    if ((READ(inode, i_mode) & 0170000) != 0100000)
        return 0;
    u32 mode = READ(file, f_mode);
    if (mode & FMODE_PATH)
        return 0;
    COUNT(OPEN, seen);
    u64 cgroup = 0;
    if (!(mode & (FMODE_WRITE | FMODE_CREATED)) && !is_sensitive(file))
        goto suppress;
    if (READ(task, tgid) == SELF)
        goto suppress;
    cgroup = cgroup_id(chosen_cgroup(task));
    if (ignored.lookup(&cgroup) || is_noise(file, inode))
        goto suppress;
    struct scratch *scratch = borrow(OPEN, sizeof(struct open_record));
    if (!scratch)
        return 0;
    struct open_record *record = (void *)scratch->record;
    fill(&record->header, OPEN, task, cgroup);
    record->inode = READ(inode, i_ino);
    record->flags = READ(file, f_flags) | creation_flags(ctx->number);
    record->header.flags = append_file(scratch, FIRST, task, file) | (mode & FMODE_CREATED ? OPEN_CREATED : 0);
    record->path_length = scratch->end - sizeof(struct open_record);
    hand_over(scratch, OPEN);
    return 0;
suppress:
    COUNT(OPEN, suppressed);
    return 0;
}

/* A directory's path (nothing for absolute names), then a name from user memory. */
struct place { u32 directory_length, name_length, flags, unused; };

struct path_record { struct header header; struct place first, second; u32 mode, unused; };

static __always_inline int is_silent(u32 class, struct task_struct *task, u64 *cgroup) {
    COUNT(class, seen);
    *cgroup = cgroup_id(chosen_cgroup(task));
    if (READ(task, tgid) != SELF && !ignored.lookup(cgroup))
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

static __always_inline int report_path(u32 class, struct task_struct *task, u64 cgroup, int descriptor, u64 name,
                                       u32 mode) {
    struct scratch *scratch = borrow(class, sizeof(struct path_record));
    if (!scratch)
        return 0;
    struct path_record *record = (void *)scratch->record;
    fill(&record->header, class, task, cgroup);
    record->mode = mode;
    record->unused = 0;
    record->second = (struct place){};
    append_place(scratch, FIRST, &record->first, task, descriptor, name);
    hand_over(scratch, class);
    return 0;
}

int file_unlink(struct syscall_exit *ctx) {
    if (ctx->result < 0)
        return 0;
    struct task_struct *task = (void *)bpf_get_current_task();
    struct pt_regs *registers = arguments();
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
    struct task_struct *task = (void *)bpf_get_current_task();
    struct pt_regs *registers = arguments();
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
    struct task_struct *task = (void *)bpf_get_current_task();
    struct pt_regs *registers = arguments();
    u64 cgroup = 0;
    if (is_silent(RENAME, task, &cgroup))
        return 0;
    int plain = ctx->number == NR_rename;
    struct scratch *scratch = borrow(RENAME, sizeof(struct path_record));
    if (!scratch)
        return 0;
    struct path_record *record = (void *)scratch->record;
    fill(&record->header, RENAME, task, cgroup);
    record->mode = 0;
    record->unused = 0;
    append_place(scratch, FIRST, &record->first, task, plain ? HERE : READ(registers, ARG0),
                 plain ? READ(registers, ARG0) : READ(registers, ARG1));
    append_place(scratch, SECOND, &record->second, task, plain ? HERE : READ(registers, ARG2),
                 plain ? READ(registers, ARG1) : READ(registers, ARG3));
    hand_over(scratch, RENAME);
    return 0;
}
