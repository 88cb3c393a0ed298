/* Capabilities used: granted checks, once per container, executable and capability.
 *
 * Safe: reads only. A check that was reported before ends after one look into a map, which is filled only when the
 * report was submitted, so a full ring only delays it. Where the kernel has the tracepoint (6.13 and later) its result
 * is the kernel's own; before, a kprobe judges by the effective set in the credentials' own user namespace.
 * Misses: on the kprobe, grants to the owner of a user namespace. Counts too much: on the tracepoint, checks the
 * kernel makes for its own accounting (CAP_SYS_ADMIN on memory reserves), which look like any other. */

struct grant { u64 cgroup, inode, capability; };
BPF_TABLE("lru_hash", struct grant, u8, grants, 16384);

struct capability_record { struct header header; u64 inode; u32 capability, unused; };

static __always_inline int granted(u32 capability) {
    struct task_struct *task = (void *)bpf_get_current_task();
    if (!READ(task, mm))
        return 0; /* kernel threads */
    COUNT(CAPABILITY, seen);
    u64 cgroup = cgroup_id(chosen_cgroup(task));
    struct grant grant = { .cgroup = cgroup, .inode = executable_inode(task), .capability = capability };
    if (ignored.lookup(&cgroup) || grants.lookup(&grant) || READ(task, tgid) == SELF) {
        COUNT(CAPABILITY, suppressed);
        return 0;
    }
    struct capability_record record = {};
    fill(&record.header, CAPABILITY, task, cgroup);
    record.inode = grant.inode;
    record.capability = capability;
    u8 one = 1;
    int error = -1;
    if (has_room(CAPABILITY))
        error = ring.ringbuf_output(&record, sizeof(record), 0);
    if (error) {
        COUNT(CAPABILITY, dropped);
    } else {
        COUNT(CAPABILITY, submitted);
        grants.update(&grant, &one);
    }
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
