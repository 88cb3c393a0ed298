/* Sockets: TCP listening and connecting, UDP bound and sending.
 *
 * Safe: the raw tracepoint is off the packet path (states change a few times per connection) and everything but
 * → LISTEN and → SYN_SENT ends at the first comparison; the cgroup programs always allow and run on bind, connect and
 * unconnected sendmsg only. They are attached by links to the root of the v2 hierarchy, which every socket of the
 * machine is under whatever the v1 trees look like, and go away with the links' descriptors.
 * Misses: raw and packet sockets, SCTP, accepted connections; UDP ports the kernel picks at the first send; the port
 * number (0 is told) of a TCP socket that listens without bind; sockets not under the v2 root the agent can see. */

#define INET 2
#define INET6 10
#define DATAGRAM 2
#define TCP 6
#define UDP 17
#define SYN_SENT 2
#define LISTENING 10

struct flow_record { struct header header; u16 family, port; u32 protocol; char address[16]; };

/* Everything told of a flow is its object. */
static __always_inline void report_flow(u32 class, struct flow_record *record) {
    struct hash hash;
    u64 *words = (void *)&record->family;
    hash_header(&hash, &record->header);
    hash_word(&hash, words[0]);
    hash_word(&hash, words[1]);
    hash_word(&hash, words[2]);
    if (!is_known(&record->header, &hash, class))
        submit(class, &record->header, record, sizeof(*record));
}

static __always_inline int is_out_of_scope(u32 class, u64 *cgroup, struct task_struct *task) {
    COUNT(class, seen);
    *cgroup = cgroup_id(chosen_cgroup(task));
    if (!is_ignored(*cgroup))
        return 0;
    COUNT(class, suppressed);
    return 1;
}

int socket_state(struct bpf_raw_tracepoint_args *ctx) {
    int state = ctx->args[2];
    if (state != LISTENING && state != SYN_SENT)
        return 0;
    struct sock *sock = (void *)ctx->args[0];
    if ((READ(sock, sk_protocol) & 0xffff) != TCP)
        return 0;
    struct task_struct *task = (void *)bpf_get_current_task();
    u32 class = state == LISTENING ? LISTEN : CONNECT;
    u64 cgroup = 0;
    if (is_out_of_scope(class, &cgroup, task))
        return 0;
    if (class == CONNECT && READ(task, tgid) == SELF) {
        COUNT(CONNECT, suppressed);
        return 0;
    }
    struct flow_record record = {};
    fill_by_program(&record.header, class, task, cgroup);
    struct net *net = READ(sock, __sk_common_skc_net_net);
    record.header.netns = READ(net, ns_inum);
    record.protocol = TCP;
    record.family = READ(sock, __sk_common_skc_family);
    if (state == LISTENING) {
        record.port = READ(sock, __sk_common_skc_num);
        if (record.family == INET)
            *(u32 *)record.address = READ(sock, __sk_common_skc_rcv_saddr);
        else
            READ_BYTES(record.address, 16, sock, __sk_common_skc_v6_rcv_saddr);
    } else {
        record.port = bpf_ntohs(READ(sock, __sk_common_skc_dport));
        if (record.family == INET)
            *(u32 *)record.address = READ(sock, __sk_common_skc_daddr);
        else
            READ_BYTES(record.address, 16, sock, __sk_common_skc_v6_daddr);
    }
    report_flow(class, &record);
    return 0;
}

static __always_inline int udp_bound(u32 family, u32 type, u32 protocol, u32 port, u32 a, u32 b, u32 c, u32 d) {
    if (type != DATAGRAM || protocol != UDP)
        return 1;
    struct task_struct *task = (void *)bpf_get_current_task();
    u64 cgroup = cgroup_id(chosen_cgroup(task));
    COUNT(BIND, seen);
    /* the agent's own bind is its canary and must come through */
    if (READ(task, tgid) != SELF && is_ignored(cgroup)) {
        COUNT(BIND, suppressed);
        return 1;
    }
    struct flow_record record = {};
    fill_by_program(&record.header, BIND, task, cgroup);
    if (READ(task, tgid) == SELF)
        record.header.context = (struct id){};
    record.protocol = UDP;
    record.family = family;
    record.port = port;
    u32 address[4] = { a, b, c, d };
    __builtin_memcpy(record.address, address, 16);
    report_flow(BIND, &record);
    return 1;
}

int udp_bind4(struct bpf_sock *ctx) {
    return udp_bound(INET, ctx->type, ctx->protocol, ctx->src_port, ctx->src_ip4, 0, 0, 0);
}

int udp_bind6(struct bpf_sock *ctx) {
    return udp_bound(INET6, ctx->type, ctx->protocol, ctx->src_port, ctx->src_ip6[0], ctx->src_ip6[1],
                     ctx->src_ip6[2], ctx->src_ip6[3]);
}

static __always_inline int udp_sent(u32 family, u32 type, u32 protocol, u32 port, u32 a, u32 b, u32 c, u32 d) {
    /* resolvers connect UDP sockets to port 0 to learn their own address; nothing is sent */
    if (type != DATAGRAM || protocol != UDP || !port)
        return 1;
    struct task_struct *task = (void *)bpf_get_current_task();
    u64 cgroup = 0;
    if (is_out_of_scope(CONNECT, &cgroup, task))
        return 1;
    if (READ(task, tgid) == SELF) {
        COUNT(CONNECT, suppressed);
        return 1;
    }
    struct flow_record record = {};
    fill_by_program(&record.header, CONNECT, task, cgroup);
    record.protocol = UDP;
    record.family = family;
    record.port = bpf_ntohs(port);
    u32 address[4] = { a, b, c, d };
    __builtin_memcpy(record.address, address, 16);
    report_flow(CONNECT, &record);
    return 1;
}

int udp_send4(struct bpf_sock_addr *ctx) {
    return udp_sent(INET, ctx->type, ctx->protocol, ctx->user_port, ctx->user_ip4, 0, 0, 0);
}

int udp_send6(struct bpf_sock_addr *ctx) {
    return udp_sent(INET6, ctx->type, ctx->protocol, ctx->user_port, ctx->user_ip6[0], ctx->user_ip6[1],
                    ctx->user_ip6[2], ctx->user_ip6[3]);
}
