/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/sandbox.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#endif

enum { STACK_BYTES = 1 << 20 };

static int fail(const char *what, int code, struct umbra_error *ret_error)
{
	return umbra_error_set(ret_error, code, "sandbox", what, "%s", strerror(-code));
}

/* Arguments that are int in C: the upper half of the register may hold anything. */
#define ARG_IS(number, value)                                                                      \
	SCMP_CMP32(number, SCMP_CMP_MASKED_EQ, 0xffffffff, (scmp_datum_t)(uint32_t)(value))
#define ARG_BITS(number, mask, value) SCMP_CMP32(number, SCMP_CMP_MASKED_EQ, mask, value)

/* A call that is allowed, with up to two conditions that must hold together. */
struct rule {
	int call;
	unsigned int nr_conditions;
	struct scmp_arg_cmp conditions[2];
};

static int add_rules(scmp_filter_ctx filter, const struct rule *rules, size_t nr_rules)
{
	int code = 0;

	for (size_t i = 0; i < nr_rules && !code; i++)
		code = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].call,
					      rules[i].nr_conditions, rules[i].conditions);
	return code;
}

static int fill_filter(scmp_filter_ctx filter, const struct sandbox *sandbox)
{
	const int socket = sandbox->socket, event = sandbox->event;
	const struct rule rules[] = {
		/* Messages to and from umbrad. Descriptors that come along are closed unseen, for
		 * the limit of open files is reached. */
		{SCMP_SYS(sendmsg), 1, {ARG_IS(0, socket)}},
		{SCMP_SYS(recvmsg), 1, {ARG_IS(0, socket)}},
		/* Each thread wakes the other, and an idle guest sleeps until its timer. */
		{SCMP_SYS(read), 1, {ARG_IS(0, event)}},
		{SCMP_SYS(write), 1, {ARG_IS(0, event)}},
		{SCMP_SYS(ppoll), 0, {}},
		{SCMP_SYS(futex), 0, {}},
		{SCMP_SYS(restart_syscall), 0, {}},
		/* The guest's console, and messages of the worker and of libc when it gives up. */
		{SCMP_SYS(write), 1, {ARG_IS(0, STDERR_FILENO)}},
		{SCMP_SYS(writev), 1, {ARG_IS(0, STDERR_FILENO)}},
		/* Clocks, where the kernel has none that can be read without a call. */
		{SCMP_SYS(clock_gettime), 0, {}},
		/* malloc(), and the frames of guest memory: never to be executed, never a file. */
		{SCMP_SYS(brk), 0, {}},
		{SCMP_SYS(mmap),
		 2,
		 {ARG_BITS(2, PROT_EXEC, 0), ARG_BITS(3, MAP_ANONYMOUS | MAP_PRIVATE | MAP_SHARED,
						      MAP_ANONYMOUS | MAP_PRIVATE)}},
		{SCMP_SYS(mprotect), 1, {ARG_BITS(2, PROT_EXEC, 0)}},
		{SCMP_SYS(mremap), 0, {}},
		{SCMP_SYS(munmap), 0, {}},
		{SCMP_SYS(madvise), 0, {}},
		/* Dying: abort() and the handler of crashes raise a signal, in this process only.
		 */
		{SCMP_SYS(getpid), 0, {}},
		{SCMP_SYS(gettid), 0, {}},
		{SCMP_SYS(tgkill), 1, {ARG_IS(0, getpid())}},
		{SCMP_SYS(rt_sigprocmask), 0, {}},
		{SCMP_SYS(rt_sigaction), 0, {}},
		{SCMP_SYS(rt_sigreturn), 0, {}},
		{SCMP_SYS(exit), 0, {}},
		{SCMP_SYS(exit_group), 0, {}},
#ifdef WITH_ASAN
		/* AddressSanitizer's own locks, and what its report of an error reads. */
		{SCMP_SYS(sched_yield), 0, {}},
		{SCMP_SYS(sigaltstack), 0, {}},
		{SCMP_SYS(openat), 1, {ARG_BITS(2, O_ACCMODE, O_RDONLY)}},
		{SCMP_SYS(read), 0, {}},
		{SCMP_SYS(close), 0, {}},
		{SCMP_SYS(readlink), 0, {}},
#endif
	};

	return add_rules(filter, rules, sizeof(rules) / sizeof(rules[0]));
}

/* A guest of KVM's: its VM and vCPUs by their descriptors, request by request. */
static int add_kvm_rules(scmp_filter_ctx filter, const struct sandbox *sandbox)
{
	/* vCPUs are stopped by a signal that their threads take like this. */
	const struct rule wait = {SCMP_SYS(rt_sigtimedwait), 0, {}};
	int code = sandbox->nr_calls ? add_rules(filter, &wait, 1) : 0;

	for (size_t i = 0; i < sandbox->nr_calls && !code; i++) {
		const struct umbra_kvm_call *call = &sandbox->calls[i];
		const struct rule rule = {
			call->request ? SCMP_SYS(ioctl) : SCMP_SYS(pread64),
			call->request ? 2 : 1,
			{ARG_IS(0, call->fd), ARG_IS(1, call->request)},
		};

		code = add_rules(filter, &rule, 1);
	}
	return code;
}

static int set_filter(const struct sandbox *sandbox, struct umbra_error *ret_error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int code = filter ? 0 : -ENOMEM;

	/* Another architecture's numbers mean other calls. */
	if (!code)
		code = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* All threads, or none and an error. */
	if (!code)
		code = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!code)
		code = fill_filter(filter, sandbox);
	if (!code)
		code = add_kvm_rules(filter, sandbox);
	if (!code)
		code = seccomp_load(filter);
	seccomp_release(filter);
	return code ? fail("system calls", code, ret_error) : 0;
}

static int limit(int resource, rlim_t most, const char *what, struct umbra_error *ret_error)
{
	struct rlimit limits;

	if (getrlimit(resource, &limits))
		return fail(what, -errno, ret_error);
	/* Who started umbrad may have set a lower one, which stays. */
	if (most > limits.rlim_max)
		most = limits.rlim_max;
	limits = (struct rlimit){.rlim_cur = most, .rlim_max = most};
	return setrlimit(resource, &limits) ? fail(what, -errno, ret_error) : 0;
}

/* A console that goes to a file may fill it; nothing else that is open has a size. */
static rlim_t file_size(void)
{
	struct stat status;

	return fstat(STDERR_FILENO, &status) || !S_ISREG(status.st_mode) ? 0 : RLIM_INFINITY;
}

#ifdef WITH_ASAN
/* It reserves terabytes for its shadow. */
static int limit_memory(uint64_t growth, struct umbra_error *ret_error)
{
	return 0;
}
#else
static int limit_memory(uint64_t growth, struct umbra_error *ret_error)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages;
	bool read = file && fscanf(file, "%lu", &pages) == 1;
	int code = errno ? -errno : -EIO;

	if (file)
		fclose(file);
	if (!read)
		return fail("/proc/self/statm", code, ret_error);
	code = limit(RLIMIT_STACK, STACK_BYTES, "RLIMIT_STACK", ret_error);
	if (code)
		return code;
	return limit(RLIMIT_AS, pages * (rlim_t)sysconf(_SC_PAGESIZE) + growth, "RLIMIT_AS",
		     ret_error);
}
#endif

static int set_limits(const struct sandbox *sandbox, struct umbra_error *ret_error)
{
	int last = sandbox->socket > sandbox->event ? sandbox->socket : sandbox->event;
	int code = limit_memory(sandbox->growth, ret_error);

	if (!code)
		code = limit(RLIMIT_FSIZE, file_size(), "RLIMIT_FSIZE", ret_error);
	if (!code)
		code = limit(RLIMIT_CORE, 0, "RLIMIT_CORE", ret_error);
	if (!code)
		code = limit(RLIMIT_NPROC, 0, "RLIMIT_NPROC", ret_error);
	if (!code)
		code = limit(RLIMIT_NOFILE, last + 1, "RLIMIT_NOFILE", ret_error);
	return code;
}

int sandbox_enter(const struct sandbox *sandbox, struct umbra_error *ret_error)
{
	int code = set_limits(sandbox, ret_error);

	if (!code && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		code = fail("no_new_privs", -errno, ret_error);
	return code ? code : set_filter(sandbox, ret_error);
}
