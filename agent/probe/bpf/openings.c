/* Files opened: to be written or created, sensitive ones to be read (for profiles), and whatever rules ask for.
 *
 * Safe: exit tracepoints of the system calls themselves; they run after the act, can not change it, and take nothing
 * but reads. What is told is the file that the kernel opened (descriptor → file). Openings are the most frequent calls
 * of all: what concerns nobody and what ended here a moment ago ends first; what rules may want to know goes on in
 * syscalls.c.
 * Misses: io_uring, open_by_handle_at, 32-bit programs on a 64-bit kernel (the tracepoints are silent for them), mmap of
 * a file opened before the agent. */

#define FMODE_WRITE 2
#define FMODE_PATH 0x4000
#define CREATION_FLAGS 01300 /* O_CREAT | O_EXCL | O_TRUNC: the kernel strips them from the file */
#define WRITING 01103 /* O_ACCMODE | O_CREAT | O_TRUNC */
#define NAME 32

struct name { char text[NAME]; };
BPF_F_TABLE("hash", struct name, u8, sensitive, 1024, 1);

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

struct open_record { struct header header; u64 inode; u32 flags, path_length; };

/* Whom an opening concerns, and as what it counts where it ends. */
#define PROFILE 1
#define RULES 2
#define SEEN_BY_PROFILE 4

BPF_PROG_ARRAY(programs, 1); /* syscall_exit: goes on with what rules may want to know */

static __always_inline u64 flags_of(struct spec *spec, struct pt_regs *registers) {
    if (spec->flags == NONE)
        return 01101; /* creat: O_CREAT | O_WRONLY | O_TRUNC */
    u64 flags = spec->flags == 1 ? READ(registers, ARG1) : READ(registers, ARG2);
    if (spec->flags == HOW)
        read_user(&flags, sizeof(flags), (void *)flags);
    return flags;
}

static __always_inline u32 concerns_profile(struct task_struct *task, struct file *file, u32 mode) {
    struct inode *inode = READ(file, f_inode);
    if ((READ(inode, i_mode) & 0170000) != 0100000 || mode & FMODE_PATH)
        return 0;
    if (mode & (FMODE_WRITE | FMODE_CREATED) || is_sensitive(file)) {
        if (!is_ignored(cgroup_id(chosen_cgroup(task))) && !is_noise(file, inode))
            return PROFILE | SEEN_BY_PROFILE;
    }
    return SEEN_BY_PROFILE;
}

static __always_inline u32 concerns_rules(struct spec *spec, u64 flags) {
    if (!(spec->told & TELL_SUCCESS))
        return 0;
    if (spec->told & TELL_READS || flags & WRITING)
        return RULES;
    count_ended(SYSCALL, 0);
    return 0;
}

/* An opening that ends here: all who saw it are content. */
static __always_inline void count_repeated(u32 concerned) {
    if (concerned & SEEN_BY_PROFILE)
        count_ended(OPEN, concerned & PROFILE);
    if (concerned & RULES)
        count_ended(SYSCALL, 1);
}

static __always_inline void tell_profile(struct task_struct *task, struct file *file, u32 mode, u64 flags) {
    struct scratch *scratch = borrow(OPEN, sizeof(struct open_record));
    if (!scratch) {
        no_opening();
        return;
    }
    struct open_record *record = (void *)scratch->record;
    struct inode *inode = READ(file, f_inode);
    struct super_block *superblock = READ(inode, i_sb);
    fill_by_program(&record->header, OPEN, task, cgroup_id(chosen_cgroup(task)));
    record->inode = READ(inode, i_ino);
    record->flags = READ(file, f_flags) | (flags & CREATION_FLAGS);
    record->header.flags = append_file(scratch, FIRST, task, file) | (mode & FMODE_CREATED ? OPEN_CREATED : 0);
    record->path_length = scratch->end - sizeof(struct open_record);
    struct hash hash;
    hash_header(&hash, &record->header);
    hash_word(&hash, record->flags & 3 /* O_ACCMODE */);
    hash_word(&hash, READ(superblock, s_dev));
    hash_word(&hash, mode & FMODE_CREATED ? 0 : record->inode); /* what is new has no identity yet */
    if (hash_texts(&hash, scratch, sizeof(struct open_record), scratch->end, MOST_WORDS) &&
        is_known(&record->header, &hash, OPEN)) {
        release(scratch);
    } else {
        no_opening();
        hand_over(scratch, OPEN);
    }
}

int file_open(struct syscall_exit *ctx) {
    u32 number = ctx->number;
    long result = ctx->result;
    struct spec *spec = specs.lookup(&number);
    if (!spec || (result < 0 && !(spec->told & TELL_FAILURE)))
        return 0;
    struct task_struct *task = (void *)bpf_get_current_task_btf();
    if (FOLLOW(task, tgid) == SELF)
        return 0;
    if (result >= 0) {
        u64 flags = flags_of(spec, arguments(task)), how = flags << 32 | number;
        struct file *file = CAST(new_file_of(task, result));
        u32 mode = FOLLOW(file, f_mode), rules = concerns_rules(spec, flags);
        int is_kept = rules || mode & FMODE_WRITE;
        struct opening *found = is_kept ? find_recent(task, file, mode, how) : 0;
        if (found) {
            count_repeated(found->concerned);
            return 0;
        }
        no_opening();
        struct opening *opening = is_kept ? opening_of(task, file, mode, how) : 0;
        u32 concerned = rules | concerns_profile(task, file, mode);
        if (opening)
            opening->concerned = concerned;
        if (concerned & SEEN_BY_PROFILE)
            COUNT(OPEN, seen);
        if (concerned & PROFILE)
            tell_profile(task, file, mode, flags);
        else if (concerned & SEEN_BY_PROFILE)
            COUNT(OPEN, suppressed);
        if (!rules) {
            keep();
            return 0;
        }
    } else {
        no_opening();
    }
    programs.call(ctx, 0);
    COUNT(SYSCALL, seen); /* not reached: the program is there as long as this one */
    COUNT(SYSCALL, dropped);
    return 0;
}
