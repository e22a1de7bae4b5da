// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/* Outrider's eBPF program: system calls at their exit, and the life of processes; see sensor/probe/decode.py for the
 * record. Every record is built in its CPU's scratch and copied once into the ring: preemption is off in tracepoints. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define SPACE 49152u /* bytes of chunks in a record; the scratch has room for one more chunk behind */
#define TEXT 4096u
#define NAME 256u
#define DEPTH 40
#define ANCESTORS 24
#define MAGIC 0x4f555431u /* OUT1 */

enum record { R_SYSCALL = 1, R_EXEC = 2, R_CLONE = 3, R_EXIT = 4 };
enum kind { K_PLAIN, K_OPEN, K_PATHS, K_SOCKET, K_EXEC };
enum tag {
	T_ANCESTORS = 1, T_CGROUP, T_CWD, T_STR0, T_STR1, T_DIR0, T_DIR1, T_KPATH, T_ARGV, T_ENV, T_FILENAME, T_EXEPATH,
	T_INODE, T_SOCK, T_ADDR, T_OPENHOW
};

struct call { u8 enabled, kind; s8 str[2], dir[2], fd, addr, message, how; u16 nr; u8 pad[4]; };
enum scope { BY_PID = 1, BY_CGROUP = 2 };
enum abi { NATIVE, X32, I386 };
#define SOCKETCALL 102
#define SOCKETCALLS 900 /* its calls stand in compat_calls from here on */
#define SOCKETCALL_LAST 20
struct settings { u32 own_tgid, scope; };
struct counters { u64 lost, sent, compat, outside; };
struct task_record {
	u32 pid, tid; u64 start; u32 uid, gid, loginuid, pgid, sid, tty, vpid, vtid, vpgid, mnt_ns, pid_ns, flags;
	u64 cap_effective, cap_permitted, cap_inheritable, cgroup_id; char comm[16], session[16];
};
struct head {
	u32 magic, length; u16 type, nr; u32 cpu; u64 time; s64 res; u64 args[6]; u32 chunks, abi;
	struct task_record task, child;
};
struct ancestor { u32 pid, pad; u64 start; char comm[16]; };
struct inode_record {
	u64 ino, sflags; s64 csec, msec; u32 cnsec, mnsec, dev, mode, uid, gid, iflags, fmode, overlay, upper;
};
struct sock_record { u16 family, protocol, lport, rport; u8 local[16], remote[16]; u32 state, pad; };
struct scratch { struct head head; u8 data[SPACE + 2 * TEXT]; };

#define MAP(name, t, k, v, n) struct { __uint(type, t); __type(key, k); __type(value, v); __uint(max_entries, n); } \
	name SEC(".maps")
MAP(settings_map, BPF_MAP_TYPE_ARRAY, u32, struct settings, 1);
MAP(calls, BPF_MAP_TYPE_ARRAY, u32, struct call, 512);
MAP(compat_calls, BPF_MAP_TYPE_ARRAY, u32, struct call, 1024); /* by the numbers of i386; `nr` is x86-64's */
MAP(subtree, BPF_MAP_TYPE_HASH, u32, u8, 32768); /* user space makes it small where no process is the scope */
MAP(ignored, BPF_MAP_TYPE_HASH, u32, u8, 1024);
MAP(scope_cgroup, BPF_MAP_TYPE_CGROUP_ARRAY, u32, u32, 1);
/* A per-CPU map's value may not pass 32 KiB: an array by CPU instead; user space sets the number of CPUs. */
MAP(scratches, BPF_MAP_TYPE_ARRAY, u32, struct scratch, 64);
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, u32); __type(value, struct counters); __uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE); } counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 8 * 1024 * 1024); } ring SEC(".maps");

static __always_inline struct scratch *scratch(void) { u32 cpu = bpf_get_smp_processor_id(); return bpf_map_lookup_elem(&scratches, &cpu); }
static __always_inline struct counters *counters(void) { u32 zero = 0; return bpf_map_lookup_elem(&counts, &zero); }

/* Opens a chunk: tag u16, length u16; the length is written by close_chunk. Returns its start or -1. */
static __always_inline int open_chunk(struct scratch *s, u32 tag)
{
	u32 at = s->head.chunks;
	if (at > SPACE - 8)
		return -1;
	*(u16 *)&s->data[at] = tag;
	*(u16 *)&s->data[at + 2] = 0;
	s->head.chunks = at + 4;
	return at;
}
static __always_inline void close_chunk(struct scratch *s, u32 at)
{
	if (at > SPACE - 8)
		return;
	u32 len = s->head.chunks - at - 4;
	*(u16 *)&s->data[at + 2] = len;
	s->head.chunks = (s->head.chunks + 3) & ~3u;
}
static __always_inline int add_name(struct scratch *s, const void *from)
{
	u32 at = s->head.chunks;
	if (at > SPACE)
		return -1;
	long n = bpf_probe_read_kernel_str(&s->data[at], NAME, from);
	if (n <= 0)
		return -1;
	s->head.chunks = at + ((u32)n & 511);
	return 0;
}

/* Components of a path from the leaf up, NUL after each; a last empty one says that the walk was cut, two that
 * what was walked hangs on no root (a memfd). */
__noinline int walk_path(u64 path, u64 root, u32 tag)
{
	struct scratch *s = scratch();
	if (!s)
		return 0;
	struct path *p = (void *)path, *r = (void *)root;
	struct dentry *dentry = BPF_CORE_READ(p, dentry), *root_dentry = NULL;
	struct vfsmount *mnt = BPF_CORE_READ(p, mnt), *root_mnt = NULL;
	int at = open_chunk(s, tag), marks = 1;
	if (at < 0)
		return 0;
	if (root) {
		root_dentry = BPF_CORE_READ(r, dentry);
		root_mnt = BPF_CORE_READ(r, mnt);
	}
	for (int i = 0; i < DEPTH; i++) {
		if (dentry == root_dentry && mnt == root_mnt) {
			marks = 0;
			break;
		}
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent), *top = BPF_CORE_READ(mnt, mnt_root);
		if (dentry == top) {
			struct mount *m = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
			struct mount *up = BPF_CORE_READ(m, mnt_parent);
			if (up == m || !up) {
				marks = 0;
				break;
			}
			dentry = BPF_CORE_READ(m, mnt_mountpoint);
			mnt = (void *)up + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (add_name(s, BPF_CORE_READ(dentry, d_name.name)))
			break;
		if (dentry == parent) {
			marks = 2;
			break;
		}
		dentry = parent;
	}
	u32 end = s->head.chunks;
	if (marks && end <= SPACE) {
		s->data[end] = 0;
		s->data[end + 1] = 0;
		s->head.chunks = end + marks;
	}
	close_chunk(s, at);
	return 0;
}

static __always_inline struct kernfs_node *above(struct kernfs_node *kn)
{
	if (bpf_core_field_exists(struct kernfs_node, __parent))
		return BPF_CORE_READ(kn, __parent);
	return BPF_CORE_READ((struct kernfs_node___old *)kn, parent);
}

__noinline int walk_cgroup(u64 node)
{
	struct scratch *s = scratch();
	struct kernfs_node *kn = (void *)node;
	int at;
	if (!s || (at = open_chunk(s, T_CGROUP)) < 0)
		return 0;
	for (int i = 0; i < DEPTH; i++) {
		struct kernfs_node *up = above(kn);
		if (!up || add_name(s, BPF_CORE_READ(kn, name)))
			break;
		kn = up;
	}
	close_chunk(s, at);
	return 0;
}

static __always_inline int add_text(u64 from, u32 tag, int user)
{
	struct scratch *s = scratch();
	int at;
	if (!s || (at = open_chunk(s, tag)) < 0)
		return 0;
	u32 off = s->head.chunks;
	if (off > SPACE)
		return 0;
	long n = user ? bpf_probe_read_user_str(&s->data[off], TEXT, (void *)from)
		      : bpf_probe_read_kernel_str(&s->data[off], TEXT, (void *)from);
	if (n <= 0) { /* not readable: no chunk at all, so that it differs from an empty string */
		s->head.chunks = at;
		return 0;
	}
	s->head.chunks = off + ((u32)n & 8191);
	close_chunk(s, at);
	return s->data[off] == '/';
}
/* These give 1 for an absolute path. */
__noinline int add_user_text(u64 from, u32 tag) { return add_text(from, tag, 1); }
__noinline int add_kernel_text(u64 from, u32 tag) { return add_text(from, tag, 0); }

__noinline int add_bytes(u64 from, u32 size, u32 tag, u32 user)
{
	struct scratch *s = scratch();
	int at;
	if (!s || (at = open_chunk(s, tag)) < 0)
		return 0;
	u32 off = s->head.chunks;
	if (off > SPACE)
		return 0;
	if (size > TEXT)
		size = TEXT;
	long bad = user ? bpf_probe_read_user(&s->data[off], size, (void *)from)
			: bpf_probe_read_kernel(&s->data[off], size, (void *)from);
	if (bad) {
		s->head.chunks = at;
		return 0;
	}
	s->head.chunks = off + size;
	close_chunk(s, at);
	return 0;
}

/* Of the program's own stack, which no global function may be given. */
#define add_local(value, tag)                                                        \
	do {                                                                          \
		struct scratch *_s = scratch();                                       \
		int _at = _s ? open_chunk(_s, tag) : -1;                              \
		if (_at >= 0 && _s->head.chunks <= SPACE) {                           \
			__builtin_memcpy(&_s->data[_s->head.chunks], &value, sizeof(value)); \
			_s->head.chunks += sizeof(value);                             \
			close_chunk(_s, _at);                                         \
		}                                                                     \
	} while (0)

static __always_inline u32 virtual(struct pid *pid)
{
	struct upid *last = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			    BPF_CORE_READ(pid, level) * bpf_core_type_size(struct upid);
	return BPF_CORE_READ(last, nr);
}

__noinline int fill_task(u64 pointer, u32 child)
{
	struct scratch *s = scratch();
	if (!s)
		return 0;
	struct task_struct *task = (void *)pointer, *leader = BPF_CORE_READ(task, group_leader);
	struct task_record *t = child ? &s->head.child : &s->head.task;
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct pid *group = BPF_CORE_READ(signal, pids[2]), *session = BPF_CORE_READ(signal, pids[3]);
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	t->pid = BPF_CORE_READ(task, tgid);
	t->tid = BPF_CORE_READ(task, pid);
	t->start = BPF_CORE_READ(leader, start_boottime);
	t->uid = BPF_CORE_READ(cred, euid.val);
	t->gid = BPF_CORE_READ(cred, egid.val);
	t->loginuid = bpf_core_field_exists(struct task_struct, loginuid) ? BPF_CORE_READ(task, loginuid.val) : ~0u;
	t->pgid = BPF_CORE_READ(group, numbers[0].nr);
	t->sid = BPF_CORE_READ(session, numbers[0].nr);
	t->vpid = virtual(BPF_CORE_READ(leader, thread_pid));
	t->vtid = virtual(pid);
	t->vpgid = virtual(group);
	BPF_CORE_READ_INTO(&t->cap_effective, cred, cap_effective);
	BPF_CORE_READ_INTO(&t->cap_permitted, cred, cap_permitted);
	BPF_CORE_READ_INTO(&t->cap_inheritable, cred, cap_inheritable);
	t->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid *own = (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	t->pid_ns = BPF_CORE_READ(own, ns, ns.inum);
	t->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	BPF_CORE_READ_INTO(&t->comm, task, comm);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);
	t->tty = 0;
	if (tty) {
		u32 major = BPF_CORE_READ(tty, driver, major);
		u32 minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
		t->tty = (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
	}
	t->flags = 0;
	struct hlist_node *node = BPF_CORE_READ(session, tasks[0].first);
	if (node) {
		struct task_struct *first = (void *)node - bpf_core_field_offset(struct task_struct, pid_links);
		BPF_CORE_READ_INTO(&t->session, first, comm);
		t->flags = 1;
	}
	return 0;
}

__noinline int add_ancestors(u64 pointer)
{
	struct scratch *s = scratch();
	struct task_struct *task = (void *)pointer;
	int at;
	if (!s || (at = open_chunk(s, T_ANCESTORS)) < 0)
		return 0;
	s->head.task.flags |= 2;
	for (int i = 0; i < ANCESTORS; i++) {
		struct task_struct *up = BPF_CORE_READ(task, real_parent, group_leader);
		u32 off = s->head.chunks;
		u32 pid = BPF_CORE_READ(up, tgid);
		if (!up || !pid || up == task) {
			s->head.task.flags &= ~2u;
			break;
		}
		if (off > SPACE)
			break;
		struct ancestor *a = (void *)&s->data[off];
		a->pid = pid;
		a->pad = 0;
		a->start = BPF_CORE_READ(up, start_boottime);
		BPF_CORE_READ_INTO(&a->comm, up, comm);
		s->head.chunks = off + sizeof(*a);
		task = up;
	}
	close_chunk(s, at);
	return 0;
}

__noinline int add_cgroups(u64 pointer)
{
	struct css_set *css = BPF_CORE_READ((struct task_struct *)pointer, cgroups);
	struct kernfs_node *last = BPF_CORE_READ(css, dfl_cgrp, kn);
	walk_cgroup((u64)last);
	for (int i = 0; i < 16; i++) {
		if (i >= bpf_core_field_size(css->subsys) / sizeof(void *))
			break;
		struct cgroup_subsys_state *state = NULL;
		bpf_core_read(&state, sizeof(state), &css->subsys[0] + i);
		struct kernfs_node *kn = BPF_CORE_READ(state, cgroup, kn);
		if (!kn || kn == last || !above(kn)) /* the root of a v1 hierarchy tells nothing */
			continue;
		last = kn;
		walk_cgroup((u64)kn);
	}
	return 0;
}

static __always_inline struct scratch *begin(u32 type, struct task_struct *task, struct task_struct *child)
{
	struct scratch *s = scratch();
	if (!s)
		return NULL;
	s->head.magic = MAGIC;
	s->head.type = type;
	s->head.nr = 0;
	s->head.cpu = bpf_get_smp_processor_id();
	s->head.time = bpf_ktime_get_boot_ns();
	s->head.res = 0;
	s->head.chunks = 0;
	s->head.abi = NATIVE;
	s->head.child.pid = 0;
	fill_task((u64)task, 0);
	if (child)
		fill_task((u64)child, 1);
	add_ancestors((u64)task);
	return s;
}
/* Cgroups come last: paths that somebody made long must not push out what the event is about. */
static __always_inline void send(struct scratch *s, struct task_struct *task)
{
	add_cgroups((u64)task);
	struct counters *c = counters();
	u32 size = s->head.chunks;
	if (!c)
		return;
	if (size > SPACE + TEXT)
		return;
	s->head.length = size + sizeof(struct head);
	if (bpf_ringbuf_output(&ring, s, size + sizeof(struct head), 0))
		__sync_fetch_and_add(&c->lost, 1);
	else
		__sync_fetch_and_add(&c->sent, 1);
}

static __always_inline int watched(void)
{
	u32 zero = 0, tgid = bpf_get_current_pid_tgid() >> 32;
	struct settings *set = bpf_map_lookup_elem(&settings_map, &zero);
	if (!set || tgid == set->own_tgid || bpf_map_lookup_elem(&ignored, &tgid))
		return 0;
	if ((set->scope & BY_PID) && !bpf_map_lookup_elem(&subtree, &tgid))
		return 0;
	if ((set->scope & BY_CGROUP) && bpf_current_task_under_cgroup(&scope_cgroup, 0) != 1)
		return 0;
	return 1;
}

static __always_inline struct file *file_of(struct task_struct *task, s64 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL;
	if (fd < 0 || fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	struct file **slots = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]);
	return file;
}

__noinline int add_inode(u64 pointer)
{
	struct file *file = (void *)pointer;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct inode_record r = {};
	void *upper = NULL;
	r.ino = BPF_CORE_READ(inode, i_ino);
	r.fmode = BPF_CORE_READ(file, f_mode);
	r.mode = BPF_CORE_READ(inode, i_mode);
	r.iflags = BPF_CORE_READ(inode, i_flags);
	r.sflags = BPF_CORE_READ(inode, i_sb, s_flags);
	r.uid = BPF_CORE_READ(inode, i_uid.val);
	r.gid = BPF_CORE_READ(inode, i_gid.val);
	r.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	if (bpf_core_field_exists(struct inode, i_ctime_sec)) {
		r.csec = BPF_CORE_READ(inode, i_ctime_sec);
		r.msec = BPF_CORE_READ(inode, i_mtime_sec);
		r.cnsec = BPF_CORE_READ(inode, i_ctime_nsec);
		r.mnsec = BPF_CORE_READ(inode, i_mtime_nsec);
	} else {
		struct inode___mid *mid = (void *)inode;
		struct inode___old *old = (void *)inode;
		struct timespec64 c = {}, m = {};
		if (bpf_core_field_exists(struct inode___mid, __i_ctime))
			BPF_CORE_READ_INTO(&c, mid, __i_ctime);
		else
			BPF_CORE_READ_INTO(&c, old, i_ctime);
		if (bpf_core_field_exists(struct inode___mid, __i_mtime))
			BPF_CORE_READ_INTO(&m, mid, __i_mtime);
		else
			BPF_CORE_READ_INTO(&m, old, i_mtime);
		r.csec = c.tv_sec; r.cnsec = c.tv_nsec; r.msec = m.tv_sec; r.mnsec = m.tv_nsec;
	}
	r.overlay = BPF_CORE_READ(inode, i_sb, s_magic) == 0x794c7630;
	if (r.overlay) { /* overlayfs keeps the upper dentry right behind its inode */
		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode));
		r.upper = upper != NULL;
	}
	add_local(r, T_INODE);
	return 0;
}

__noinline int add_socket(u64 pointer)
{
	struct file *file = (void *)pointer;
	struct sock_record r = {};
	if ((BPF_CORE_READ(file, f_inode, i_mode) & 0170000) != 0140000)
		return 0;
	struct sock *sk = NULL;
	struct socket *socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	r.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	r.protocol = BPF_CORE_READ(sk, sk_protocol);
	r.lport = BPF_CORE_READ(sk, __sk_common.skc_num);
	r.rport = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	r.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (r.family == 2) {
		BPF_CORE_READ_INTO((u32 *)r.local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((u32 *)r.remote, sk, __sk_common.skc_daddr);
	} else if (r.family == 10) {
		BPF_CORE_READ_INTO((struct in6_addr *)r.local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)r.remote, sk, __sk_common.skc_v6_daddr);
	}
	add_local(r, T_SOCK);
	return 0;
}

static __always_inline u64 arg(struct scratch *s, int i) { return i >= 0 ? s->head.args[(i & 7) > 5 ? 5 : (i & 7)] : 0; }

static __always_inline void add_dir(struct scratch *s, struct task_struct *task, int reg, u32 tag)
{
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	u64 root = (u64)fs + bpf_core_field_offset(struct fs_struct, root);
	if (reg == -2)
		return;
	int fd = reg < 0 ? -100 : (int)arg(s, reg);
	if (fd == -100) {
		walk_path((u64)fs + bpf_core_field_offset(struct fs_struct, pwd), root, tag);
		return;
	}
	struct file *file = file_of(task, fd);
	if (file)
		walk_path((u64)file + bpf_core_field_offset(struct file, f_path), root, tag);
}

static __always_inline void read_args(struct pt_regs *regs, struct scratch *s)
{
	if (bpf_core_field_exists(struct pt_regs___arm64, orig_x0)) {
		struct pt_regs___arm64 *arm = (void *)regs;
		s->head.args[0] = BPF_CORE_READ(arm, orig_x0);
		s->head.args[1] = BPF_CORE_READ(arm, regs[1]);
		s->head.args[2] = BPF_CORE_READ(arm, regs[2]);
		s->head.args[3] = BPF_CORE_READ(arm, regs[3]);
		s->head.args[4] = BPF_CORE_READ(arm, regs[4]);
		s->head.args[5] = BPF_CORE_READ(arm, regs[5]);
		return;
	}
	s->head.args[0] = BPF_CORE_READ(regs, di);
	s->head.args[1] = BPF_CORE_READ(regs, si);
	s->head.args[2] = BPF_CORE_READ(regs, dx);
	s->head.args[3] = BPF_CORE_READ(regs, r10);
	s->head.args[4] = BPF_CORE_READ(regs, r8);
	s->head.args[5] = BPF_CORE_READ(regs, r9);
}

/* Of a 32-bit call; those of socketcall lie in the caller's memory, six at most. */
static __always_inline void read_compat_args(struct pt_regs *regs, struct scratch *s, int socketcall)
{
	u32 in[6] = { BPF_CORE_READ(regs, bx), BPF_CORE_READ(regs, cx), BPF_CORE_READ(regs, dx),
		      BPF_CORE_READ(regs, si), BPF_CORE_READ(regs, di), BPF_CORE_READ(regs, bp) };
	if (socketcall) {
		void *from = (void *)(u64)in[1];
		if (bpf_probe_read_user(in, sizeof(in), from))
			bpf_probe_read_user(in, 3 * sizeof(u32), from);
	}
	for (int i = 0; i < 6; i++)
		s->head.args[i] = in[i];
}

static __always_inline void add_address(struct scratch *s, struct call *call)
{
	u64 from = arg(s, call->addr);
	u32 size = 0;
	if (call->message && s->head.abi == I386) {
		struct { u32 name, size; } msg = {};
		bpf_probe_read_user(&msg, sizeof(msg), (void *)from);
		from = msg.name;
		size = msg.size;
	} else if (call->message) {
		struct { u64 name; u32 size; } msg = {};
		bpf_probe_read_user(&msg, sizeof(msg), (void *)from);
		from = msg.name;
		size = msg.size;
	} else {
		size = s->head.args[call->addr == 4 ? 5 : 2];
	}
	if (size > 110)
		size = 110;
	if (from && size >= 2)
		add_bytes(from, size, T_ADDR, 1);
}

/* Every system call of the machine comes here first: plain loads through typed pointers cost next to nothing. */
static __always_inline int is_compat(void)
{
	if (bpf_core_field_exists(struct pt_regs___arm64, orig_x0))
		return (BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), thread_info.flags) & (1 << 22)) != 0;
	/* TS_COMPAT; int 0x80 of a 64-bit program sets it, too */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf))
		return (bpf_get_current_task_btf()->thread_info.status & 2) != 0;
	struct task_struct *task = (void *)bpf_get_current_task(); /* before 5.11 */
	return (BPF_CORE_READ(task, thread_info.status) & 2) != 0;
}

SEC("tp_btf/sys_exit")
int on_sys_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	s64 ret = ctx[1];
	u32 nr, abi = NATIVE;
	struct call *call;
	if (bpf_core_field_exists(struct pt_regs___arm64, orig_x0))
		nr = ((struct pt_regs___arm64 *)regs)->syscallno;
	else
		nr = regs->orig_ax;
	if (is_compat()) { /* its numbers mean other calls: never read as ours */
		if (bpf_core_field_exists(struct pt_regs___arm64, orig_x0)) {
			struct counters *c = counters();
			if (c && watched())
				__sync_fetch_and_add(&c->compat, 1);
			return 0;
		}
		abi = I386;
		if (nr == SOCKETCALL) {
			u32 which = BPF_CORE_READ(regs, bx);
			if (which > SOCKETCALL_LAST)
				return 0;
			nr = SOCKETCALLS + which;
		}
		call = bpf_map_lookup_elem(&compat_calls, &nr);
	} else {
		if (nr & 0x40000000) {
			abi = X32;
			nr &= ~0x40000000u;
		}
		call = bpf_map_lookup_elem(&calls, &nr);
	}
	if (!call || !call->enabled)
		return 0;
	if (!watched() || (call->kind == K_EXEC && ret >= 0))
		return 0;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = begin(R_SYSCALL, task, NULL);
	if (!s)
		return 0;
	s->head.nr = call->nr;
	s->head.abi = abi;
	s->head.res = ret;
	if (abi == I386)
		read_compat_args(regs, s, nr >= SOCKETCALLS);
	else
		read_args(regs, s);
	if (call->str[0] >= 0 && !add_user_text(arg(s, call->str[0]), T_STR0))
		add_dir(s, task, call->dir[0], T_DIR0);
	if (call->str[1] >= 0 && !add_user_text(arg(s, call->str[1]), T_STR1))
		add_dir(s, task, call->dir[1], T_DIR1);
	if (call->kind == K_OPEN && ret >= 0) {
		struct file *file = file_of(task, ret);
		if (file) {
			walk_path((u64)file + bpf_core_field_offset(struct file, f_path),
				  (u64)BPF_CORE_READ(task, fs) + bpf_core_field_offset(struct fs_struct, root), T_KPATH);
			add_inode((u64)file);
		}
	}
	if (call->how > 0)
		add_bytes(arg(s, call->how), 24, T_OPENHOW, 1);
	if (call->kind == K_SOCKET) {
		struct file *file = file_of(task, call->fd < 0 ? ret : (s64)(int)arg(s, call->fd));
		if (file)
			add_socket((u64)file);
		if (call->addr >= 0)
			add_address(s, call);
	}
	send(s, task);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct linux_binprm *binprm = (void *)ctx[2];
	if (!watched())
		return 0;
	struct scratch *s = begin(R_EXEC, task, NULL);
	if (!s)
		return 0;
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	u64 arg_start = BPF_CORE_READ(mm, arg_start), env_start = BPF_CORE_READ(mm, env_start);
	add_bytes(arg_start, BPF_CORE_READ(mm, arg_end) - arg_start, T_ARGV, 1);
	add_bytes(env_start, BPF_CORE_READ(mm, env_end) - env_start, T_ENV, 1);
	add_kernel_text((u64)BPF_CORE_READ(binprm, filename), T_FILENAME);
	struct file *exe = BPF_CORE_READ(mm, exe_file);
	if (exe) {
		walk_path((u64)exe + bpf_core_field_offset(struct file, f_path), 0, T_EXEPATH);
		add_inode((u64)exe);
	}
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	walk_path((u64)fs + bpf_core_field_offset(struct fs_struct, pwd),
		  (u64)fs + bpf_core_field_offset(struct fs_struct, root), T_CWD);
	send(s, task);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	struct task_struct *child = NULL, *task = (void *)bpf_get_current_task();
	/* as a plain number: a global function takes no typed pointer */
	bpf_probe_read_kernel(&child, sizeof(child), &ctx[1]);
	u32 pid = BPF_CORE_READ(child, pid), tgid = BPF_CORE_READ(child, tgid);
	u32 zero = 0;
	u8 one = 1;
	struct settings *set = bpf_map_lookup_elem(&settings_map, &zero);
	if (!set || pid != tgid || !watched())
		return 0;
	if ((set->scope & BY_PID) && bpf_map_update_elem(&subtree, &tgid, &one, BPF_ANY)) {
		struct counters *c = counters();
		if (c) /* no room: what this child does is not seen */
			__sync_fetch_and_add(&c->outside, 1);
	}
	struct scratch *s = begin(R_CLONE, child, NULL);
	if (!s)
		return 0;
	s->head.child = s->head.task;
	fill_task((u64)task, 0);
	s->head.res = pid;
	send(s, child);
	return 0;
}

/* Once a process, when its last thread goes: a leader may end first, or give its number to a thread that execs. */
SEC("tp_btf/sched_process_exit")
int on_exit(u64 *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	int seen = watched();
	bpf_map_delete_elem(&subtree, &tgid);
	bpf_map_delete_elem(&ignored, &tgid); /* its number will be another's */
	struct scratch *s = seen ? begin(R_EXIT, task, NULL) : NULL;
	if (!s)
		return 0;
	s->head.res = BPF_CORE_READ(task, exit_code);
	send(s, task);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
