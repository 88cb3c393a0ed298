/* Capabilities used: granted checks.
 *
 * Safe: reads only; a check by a program that is known to use the capability ends here. Where the kernel has the
 * tracepoint (6.13 and later) its result is the kernel's own; before, a kprobe judges by the effective set in the
 * credentials' own user namespace.
 * Misses: on the kprobe, grants to the owner of a user namespace. Counts too much: on the tracepoint, checks the
 * kernel makes for its own accounting (CAP_SYS_ADMIN on memory reserves), which look like any other. */

struct capability_record { struct header header; u64 inode; u32 capability, unused; };

static __always_inline u64 executable_inode(struct task_struct *task) {
    struct mm_struct *mm = READ(task, mm);
    struct file *file = READ(mm, exe_file);
    struct inode *inode = READ(file, f_inode);
    return READ(inode, i_ino);
}

static __always_inline int granted(u32 capability) {
    struct task_struct *task = (void *)bpf_get_current_task();
    if (!READ(task, mm))
        return 0; /* kernel threads */
    COUNT(CAPABILITY, seen);
    u64 cgroup = cgroup_id(chosen_cgroup(task));
    if (is_ignored(cgroup) || READ(task, tgid) == SELF) {
        COUNT(CAPABILITY, suppressed);
        return 0;
    }
    struct capability_record record = {};
    fill_by_program(&record.header, CAPABILITY, task, cgroup);
    record.inode = executable_inode(task);
    record.capability = capability;
    struct hash hash;
    hash_header(&hash, &record.header);
    hash_word(&hash, capability);
    if (!is_known(&record.header, &hash, CAPABILITY))
        submit(CAPABILITY, &record.header, &record, sizeof(record));
    return 0;
}

int capability_traced(struct bpf_raw_tracepoint_args *ctx) {
    if ((int)ctx->args[4])
        return 0;
    return granted(ctx->args[3]);
}

int capability_probed(struct pt_regs *ctx) {
    struct pt_regs *registers = ctx;
    struct cred *cred = (void *)READ(registers, CALL0);
    u32 capability = READ(registers, CALL2);
    if (READ(registers, CALL3) & 2 /* CAP_OPT_NOAUDIT: not a use */)
        return 0;
    if (READ(cred, user_ns) != (void *)READ(registers, CALL1) || !(READ(cred, cap_effective) >> (capability & 63) & 1))
        return 0;
    return granted(capability);
}
