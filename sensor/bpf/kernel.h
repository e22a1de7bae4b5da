/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The kernel's types that the program names, and of them only the members it reads: offsets come from BTF (CO-RE). */
#ifndef OUTRIDER_KERNEL_H
#define OUTRIDER_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64; typedef __s64 s64; typedef __s8 s8;
#define NULL ((void *)0)
enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_CGROUP_ARRAY = 8, BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_F_MMAPABLE = 1024, BPF_ANY = 0 };
enum bpf_func_id { BPF_FUNC_get_current_task_btf = 158 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs { unsigned long orig_ax, di, si, dx, r10, r8, r9, bx, cx, bp; };
struct pt_regs___arm64 { u64 regs[31]; u64 orig_x0; int syscallno; };
struct thread_info { unsigned long flags; u32 status; };
struct kuid { u32 val; };
struct caps { u32 cap[2]; }; /* kernel_cap_t, whatever is within: 64 bits */
struct cred { struct kuid euid, egid; struct caps cap_inheritable, cap_permitted, cap_effective; };
struct hlist_node { struct hlist_node *next; };
struct hlist_head { struct hlist_node *first; };
struct ns_common { unsigned int inum; };
struct pid_namespace { struct ns_common ns; };
struct mnt_namespace { struct ns_common ns; };
struct upid { int nr; struct pid_namespace *ns; };
struct pid { unsigned int level; struct hlist_head tasks[4]; struct upid numbers[1]; };
struct tty_driver { int major, minor_start; };
struct tty_struct { int index; struct tty_driver *driver; };
typedef struct { int counter; } atomic_t;
struct signal_struct { atomic_t live; struct pid *pids[4]; struct tty_struct *tty; };
struct nsproxy { struct mnt_namespace *mnt_ns; };
struct kernfs_node { struct kernfs_node *__parent; const char *name; u64 id; };
struct kernfs_node___old { struct kernfs_node *parent; };
struct cgroup { struct kernfs_node *kn; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup_subsys_state *subsys[12]; struct cgroup *dfl_cgrp; };
struct qstr { const unsigned char *name; };
struct super_block { unsigned int s_dev; unsigned long s_flags, s_magic; };
struct inode {
	unsigned short i_mode; struct kuid i_uid, i_gid; unsigned int i_flags; struct super_block *i_sb; unsigned long i_ino;
	s64 i_ctime_sec, i_mtime_sec; u32 i_ctime_nsec, i_mtime_nsec;
};
struct timespec64 { s64 tv_sec; long tv_nsec; };
struct inode___mid { struct timespec64 __i_ctime, __i_mtime, i_mtime; };
struct inode___old { struct timespec64 i_ctime, i_mtime; };
struct dentry { struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; };
struct vfsmount { struct dentry *mnt_root; };
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file { struct path f_path; struct inode *f_inode; void *private_data; unsigned int f_mode; };
struct fdtable { unsigned int max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct fs_struct { struct path root, pwd; };
struct mm_struct { unsigned long arg_start, arg_end, env_start, env_end; struct file *exe_file; };
struct task_struct {
	struct thread_info thread_info; struct mm_struct *mm; int pid, tgid; struct task_struct *real_parent, *group_leader;
	struct pid *thread_pid; struct hlist_node pid_links[4]; u64 start_boottime; const struct cred *cred; char comm[16];
	struct fs_struct *fs; struct files_struct *files; struct nsproxy *nsproxy; struct signal_struct *signal;
	struct kuid loginuid; struct css_set *cgroups; int exit_code;
};
struct linux_binprm { const char *filename; };
struct in6_addr { u8 s6_addr[16]; };
struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr; __be16 skc_dport; u16 skc_num; u16 skc_family; u8 skc_state;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};
struct sock { struct sock_common __sk_common; u16 sk_protocol; };
struct socket { struct sock *sk; };
struct unix_address { int len; };
struct unix_sock { struct unix_address *addr; struct sock *peer; };
struct user_msghdr { void *msg_name; int msg_namelen; };
#pragma clang attribute pop
#endif
