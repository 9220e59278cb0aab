/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each call is tried in a process of its own that has entered the sandbox; only it may die. */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/sandbox.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN true
#else
#define WITH_ASAN false
#endif

enum { GROWTH = 64 << 20, DONE = 42 };

/* What a child has at hand. */
struct child {
	int pair[2]; /* the first is the sandbox's */
	int event;
	void *pages; /* mapped before */
	bool entered;
	bool kvm; /* its guest is KVM's: of the second socket FIONREAD and pread() are asked for */
};

/* What it does before and behind the door. */
struct plan {
	void (*prepare)(struct child *child); /* NULL: nothing */
	void (*act)(struct child *child);
};

static void enter(struct child *child)
{
	const struct umbra_kvm_call kvm[] = {{child->pair[1], FIONREAD}, {.fd = child->pair[1]}};
	const struct sandbox sandbox = {.socket = child->pair[0],
					.event = child->event,
					.growth = GROWTH,
					.calls = kvm,
					.nr_calls = child->kvm ? 2 : 0};
	struct umbra_error error;

	if (sandbox_enter(&sandbox, &error)) {
		fprintf(stderr, "%s %s: %s\n", error.subject, error.place, error.text);
		_exit(1);
	}
}

static void make_child(struct child *child)
{
	*child = (struct child){0};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, child->pair))
		_exit(2);
	child->pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* The last one, as in a worker: the limit of descriptors comes behind it. */
	child->event = eventfd(0, EFD_NONBLOCK);
	if (child->event < 0 || child->pages == MAP_FAILED)
		_exit(2);
}

/* Its wait status. */
static int status_of(const struct plan *plan)
{
	static struct child child;
	int status;
	pid_t pid = fork();

	if (!pid) {
		make_child(&child);
		if (plan->prepare)
			plan->prepare(&child);
		enter(&child);
		plan->act(&child);
		_exit(DONE);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_killed(const struct plan *plan, int signal, const char *name)
{
	int status = status_of(plan);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != signal)
		fail_msg("%s: status %#x instead of signal %d", name, status, signal);
}

static void assert_done(const struct plan *plan)
{
	int status = status_of(plan);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), DONE);
}

/* System calls by their numbers, with arguments that would be valid. */
static struct call {
	const char *name;
	long number;
	long arguments[6];
} calls[] = {
	{"open", SYS_open, {(long)"/dev/null", O_RDONLY}},
	{"openat to write", SYS_openat, {AT_FDCWD, (long)"/dev/null", O_WRONLY}},
	{"openat to read", SYS_openat, {AT_FDCWD, (long)"/dev/null", O_RDONLY}},
	{"openat2", SYS_openat2, {AT_FDCWD, (long)"/dev/null"}},
	{"creat", SYS_creat, {(long)"/tmp/umbra-created", 0600}},
	{"unlink", SYS_unlink, {(long)"/tmp/umbra-created"}},
	{"rename", SYS_rename, {(long)"/tmp/umbra-created", (long)"/tmp/umbra-other"}},
	{"chmod", SYS_chmod, {(long)"/tmp/umbra-created", 0777}},
	{"memfd_create", SYS_memfd_create, {(long)"name"}},
	{"socket", SYS_socket, {AF_INET, SOCK_STREAM}},
	{"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM}},
	{"connect", SYS_connect, {3, 0, 0}},
	{"bind", SYS_bind, {3, 0, 0}},
	{"listen", SYS_listen, {3, 1}},
	{"accept4", SYS_accept4, {3, 0, 0, 0}},
	{"sendto", SYS_sendto, {3, 0, 0, 0, 0, 0}},
	{"ptrace", SYS_ptrace, {0, 0, 0, 0}},
	{"process_vm_readv", SYS_process_vm_readv, {1, 0, 0, 0, 0, 0}},
	{"process_vm_writev", SYS_process_vm_writev, {1, 0, 0, 0, 0, 0}},
	{"kill init", SYS_kill, {1, 0}},
	{"tgkill init", SYS_tgkill, {1, 1, 0}},
	{"tkill init", SYS_tkill, {1, 0}},
	{"pidfd_open", SYS_pidfd_open, {1, 0}},
	{"pidfd_send_signal", SYS_pidfd_send_signal, {3, 0, 0, 0}},
	{"execve", SYS_execve, {(long)"/bin/true", 0, 0}},
	{"execveat", SYS_execveat, {AT_FDCWD, (long)"/bin/true", 0, 0, 0}},
	{"fork", SYS_fork, {0}},
	{"vfork", SYS_vfork, {0}},
	{"clone", SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
	{"clone3", SYS_clone3, {0, 0}},
	{"mmap to execute",
	 SYS_mmap,
	 {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
	{"mmap of a file", SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE, 0}},
	{"mmap shared", SYS_mmap, {0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1}},
	{"mprotect to execute", SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}},
	{"pkey_mprotect", SYS_pkey_mprotect, {0, 4096, PROT_READ, -1}},
	{"remap_file_pages", SYS_remap_file_pages, {0, 4096, 0, 0, 0}},
	{"shmget", SYS_shmget, {0, 4096, 0}},
	{"read from another", SYS_read, {0, 0, 0}},
	{"write to another", SYS_write, {1, 0, 0}},
	{"pread64", SYS_pread64, {4, 0, 0, 0}},
	{"dup", SYS_dup, {0}},
	{"dup2", SYS_dup2, {0, 1}},
	{"fcntl", SYS_fcntl, {0, F_GETFD}},
	{"ioctl", SYS_ioctl, {0, 0x5401, 0}},
	{"prctl", SYS_prctl, {3, 0, 0, 0, 0}},
	{"seccomp", SYS_seccomp, {0, 0, 0}},
	{"prlimit64", SYS_prlimit64, {0, RLIMIT_NOFILE, 0, 0}},
	{"setrlimit", SYS_setrlimit, {RLIMIT_NOFILE, 0}},
	{"setuid", SYS_setuid, {0}},
	{"capset", SYS_capset, {0, 0}},
	{"unshare", SYS_unshare, {0}},
	{"setns", SYS_setns, {3, 0}},
	{"chroot", SYS_chroot, {(long)"/"}},
	{"mount", SYS_mount, {0, 0, 0, 0, 0}},
	{"bpf", SYS_bpf, {0, 0, 0}},
	{"perf_event_open", SYS_perf_event_open, {0, 0, 0, 0, 0}},
	{"io_uring_setup", SYS_io_uring_setup, {1, 0}},
	{"userfaultfd", SYS_userfaultfd, {0}},
	{"keyctl", SYS_keyctl, {0, 0, 0, 0, 0}},
	{"personality", SYS_personality, {0xffffffff}},
	{"sched_setaffinity", SYS_sched_setaffinity, {0, 0, 0}},
	{"no such call", 4000, {0}},
	{"a call of x32", 0x40000000 | SYS_getpid, {0}},
};

static const struct call *call;

static void make_call(struct child *child)
{
	const long *a = call->arguments;

	syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void each_call_that_is_not_needed_kills(void **state)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		call = &calls[i];
		/* Reports of errors are read and written by the sanitizer itself. */
		if (WITH_ASAN && (!strcmp(call->name, "openat to read") ||
				  !strcmp(call->name, "read from another")))
			continue;
		assert_killed(&(struct plan){NULL, make_call}, SIGSYS, call->name);
	}
}

/* ORing junk into the upper half must not get a call past a condition on an int. */
static void upper_half_of_an_argument_does_not_matter(void **state)
{
	static const struct call junk = {
		"mprotect", SYS_mprotect, {0, 4096, (long)(1ul << 32 | PROT_READ | PROT_EXEC)}};

	call = &junk;
	assert_killed(&(struct plan){NULL, make_call}, SIGSYS, call->name);
}

#ifdef __x86_64__
static void call_as_32_bit(struct child *child)
{
	long number = 20; /* getpid there, writev here */

	__asm__ volatile("int $0x80" : "+a"(number) : : "memory");
}

static void calls_of_another_architecture_kill(void **state)
{
	assert_killed(&(struct plan){NULL, call_as_32_bit}, SIGSYS, "int 0x80");
}
#endif

static void send_byte(int fd, const int *descriptor)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	char byte = 1;
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

	if (descriptor) {
		memcpy(CMSG_DATA(&control.header), descriptor, sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	if (sendmsg(fd, &message, MSG_NOSIGNAL) != 1)
		_exit(3);
}

/* The flags of the message that came. */
static int receive_byte(int fd)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};

	if (recvmsg(fd, &message, 0) != 1)
		_exit(4);
	return message.msg_flags;
}

/* What a worker does all day. */
static void work(struct child *child)
{
	struct pollfd event = {.fd = child->event, .events = POLLIN};
	struct timespec now, soon = {.tv_nsec = 1000000};
	char *large = malloc(GROWTH / 4);
	eventfd_t value;

	if (!large)
		_exit(5);
	memset(large, 1, GROWTH / 4);
	large = realloc(large, GROWTH / 2);
	if (!large || mprotect(child->pages, 4096, PROT_READ) ||
	    madvise(child->pages, 8192, MADV_DONTNEED))
		_exit(6);
	free(large);
	if (ppoll(&event, 1, &soon, NULL) || eventfd_write(child->event, 1) ||
	    ppoll(&event, 1, NULL, NULL) != 1 || eventfd_read(child->event, &value))
		_exit(7);
	send_byte(child->pair[0], NULL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	fprintf(stderr, "# a word of the child\n");
}

static void what_a_worker_needs_is_allowed(void **state)
{
	assert_done(&(struct plan){NULL, work});
}

static void receive_from_another(struct child *child)
{
	send_byte(child->pair[0], NULL);
	receive_byte(child->pair[1]);
}

static void other_sockets_are_out_of_reach(void **state)
{
	assert_killed(&(struct plan){NULL, receive_from_another}, SIGSYS, "recvmsg");
}

static void run_on_kvm(struct child *child)
{
	child->kvm = true;
}

static void call_kvm(struct child *child)
{
	const struct timespec now = {0};
	sigset_t set;
	int nr;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	if (ioctl(child->pair[1], FIONREAD, &nr) || sigtimedwait(&set, NULL, &now) != -1 ||
	    pread(child->pair[1], &nr, sizeof(nr), 0) != -1 || errno != ESPIPE)
		_exit(10);
}

static void call_another_request(struct child *child)
{
	int nr;

	ioctl(child->pair[1], TIOCOUTQ, &nr);
}

static void call_another_descriptor(struct child *child)
{
	int nr;

	ioctl(child->pair[0], FIONREAD, &nr);
}

static void read_another_descriptor(struct child *child)
{
	int nr;

	pread(child->pair[0], &nr, sizeof(nr), 0);
}

static void kvm_is_called_by_those_descriptors_and_requests_alone(void **state)
{
	assert_done(&(struct plan){run_on_kvm, call_kvm});
	assert_killed(&(struct plan){NULL, call_kvm}, SIGSYS, "ioctl without KVM");
	assert_killed(&(struct plan){run_on_kvm, call_another_request}, SIGSYS, "request");
	assert_killed(&(struct plan){run_on_kvm, call_another_descriptor}, SIGSYS, "ioctl");
	assert_killed(&(struct plan){run_on_kvm, read_another_descriptor}, SIGSYS, "pread");
}

static void send_descriptor(struct child *child)
{
	int input = STDIN_FILENO;

	send_byte(child->pair[1], &input);
}

static void take_descriptor(struct child *child)
{
	if (!(receive_byte(child->pair[0]) & MSG_CTRUNC))
		_exit(8);
}

static void descriptors_that_are_sent_to_it_do_not_arrive(void **state)
{
	assert_done(&(struct plan){send_descriptor, take_descriptor});
}

static void *call_when_entered(void *context)
{
	struct child *child = context;

	while (!__atomic_load_n(&child->entered, __ATOMIC_ACQUIRE))
		;
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	_exit(9);
}

static void start_thread(struct child *child)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, call_when_entered, child))
		_exit(2);
}

static void let_thread_call(struct child *child)
{
	struct timespec long_enough = {.tv_sec = 20};

	__atomic_store_n(&child->entered, true, __ATOMIC_RELEASE);
	ppoll(NULL, 0, &long_enough, NULL);
}

static void threads_that_were_there_are_inside_too(void **state)
{
	assert_killed(&(struct plan){start_thread, let_thread_call}, SIGSYS, "other thread");
}

static void give_up(struct child *child)
{
	abort();
}

static void abort_is_told_as_abort(void **state)
{
	assert_killed(&(struct plan){NULL, give_up}, SIGABRT, "abort");
}

/* AddressSanitizer reserves terabytes: there is no such limit under it. */
#if !WITH_ASAN
static void use_too_much(struct child *child)
{
	if (mmap(NULL, 2 * GROWTH, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ||
	    errno != ENOMEM)
		_exit(10);
}

static void memory_has_a_limit(void **state)
{
	assert_done(&(struct plan){NULL, use_too_much});
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_that_is_not_needed_kills),
		cmocka_unit_test(upper_half_of_an_argument_does_not_matter),
#ifdef __x86_64__
		cmocka_unit_test(calls_of_another_architecture_kill),
#endif
		cmocka_unit_test(what_a_worker_needs_is_allowed),
		cmocka_unit_test(other_sockets_are_out_of_reach),
		cmocka_unit_test(kvm_is_called_by_those_descriptors_and_requests_alone),
		cmocka_unit_test(descriptors_that_are_sent_to_it_do_not_arrive),
		cmocka_unit_test(threads_that_were_there_are_inside_too),
		cmocka_unit_test(abort_is_told_as_abort),
#if !WITH_ASAN
		cmocka_unit_test(memory_has_a_limit),
#endif
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
