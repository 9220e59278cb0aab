/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's side. A forked child lives in its signal handler: a case is loaded into the signal
 * frame, sigreturn starts it with all registers at once, and the INT3 behind the instruction, or
 * whatever it raised, brings the child back with all registers in the next frame. That needs no
 * code around the instruction, so every register is its own, and works for 32-bit code too, whose
 * selector is only another one in the frame.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "native.h"

#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u
#define PATIENCE_MS          60000
#define FX_USED              416 /* the rest of the image says what the kernel has behind it */
#define FX_XSTATE_BV         512
#define PF_FETCH             16u

struct native_host {
	pid_t child;
	int socket;
	struct native_batch *batch;
};

static const int registers[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

/* The child's. */
static struct native_batch *batch;
static int socket_fd;
static uint32_t current;
static bool in_case;

static uint8_t *code_of(const struct native_case *c)
{
	return (uint8_t *)(uintptr_t)c->at;
}

static void load(ucontext_t *u, struct native_case *c)
{
	greg_t *g = u->uc_mcontext.gregs;
	uint64_t cs = c->mode == NATIVE_64 ? NATIVE_CS_64 : NATIVE_CS_32;
	const uint16_t data = NATIVE_DS;

	/* 64-bit code needs no data segments, 32-bit code does. */
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(data));

	memcpy(code_of(c), c->bytes, c->length);
	memcpy((void *)NATIVE_WINDOW, c->before.window, NATIVE_WINDOW_SIZE);
	memcpy((void *)NATIVE_EDGE, c->before.edge, NATIVE_EDGE_SIZE);
	for (unsigned i = 0; i < 16; i++)
		g[registers[i]] = (greg_t)c->before.gpr[i];
	g[REG_RIP] = (greg_t)c->at;
	g[REG_EFL] = (greg_t)c->before.rflags;
	g[REG_CSGSFS] = (greg_t)(cs | (uint64_t)NATIVE_DS << 48);
	u->uc_flags |= UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	if (c->fx) {
		uint8_t *image = (uint8_t *)u->uc_mcontext.fpregs;

		memcpy(image, &c->before.fx, FX_USED);
		if (u->uc_flags & 1) { /* UC_FP_XSTATE */
			uint64_t bv;

			memcpy(&bv, image + FX_XSTATE_BV, sizeof(bv));
			bv |= 3;
			memcpy(image + FX_XSTATE_BV, &bv, sizeof(bv));
		}
	}
}

static void take(const ucontext_t *u, struct native_case *c)
{
	const greg_t *g = u->uc_mcontext.gregs;
	struct native_state *after = &c->after;

	for (unsigned i = 0; i < 16; i++)
		after->gpr[i] = (uint64_t)g[registers[i]];
	after->rip = (uint64_t)g[REG_RIP];
	after->rflags = (uint64_t)g[REG_EFL];
	after->vector = (uint8_t)g[REG_TRAPNO];
	after->error = (uint32_t)g[REG_ERR];
	after->address = (uint64_t)g[REG_CR2];
	if (c->fx)
		memcpy(&after->fx, u->uc_mcontext.fpregs, FX_USED);
	memcpy(after->window, (void *)NATIVE_WINDOW, NATIVE_WINDOW_SIZE);
	memcpy(after->edge, (void *)NATIVE_EDGE, NATIVE_EDGE_SIZE);
	memset(code_of(c), NATIVE_INT3, c->length);

	/* The INT3 behind it, or at its target; or there is no code at its target. */
	if (after->vector == X86_BP && after->rip - 1 - c->at >= c->length) {
		after->vector = NATIVE_DONE;
		after->rip--;
	} else if (after->vector == X86_PF && (after->error & PF_FETCH) &&
		   after->rip == after->address && after->rip != c->at) {
		after->vector = NATIVE_DONE;
	}
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	char byte = 0;

	if (in_case) {
		take(context, &batch->cases[current]);
		current++;
	}
	in_case = true;
	if (current >= batch->nr) {
		batch->rest = native_rest((uint8_t *)NATIVE_DATA, (uint8_t *)NATIVE_MIDDLE);
		memset((void *)NATIVE_CODE, NATIVE_INT3, NATIVE_CODE_SIZE);
		if (write(socket_fd, &byte, 1) != 1 || read(socket_fd, &byte, 1) != 1)
			_exit(0);
		current = 0;
	}
	load(context, &batch->cases[current]);
}

static void map(uint64_t address, size_t size, int protection)
{
	void *wanted = (void *)(uintptr_t)address;

	if (mmap(wanted, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) != wanted)
		_exit(1);
}

static void child(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t stack = {.ss_size = 1u << 20};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	map(NATIVE_DATA, 2ul * NATIVE_PAGE, PROT_READ | PROT_WRITE);
	map(NATIVE_READ_ONLY, NATIVE_PAGE, PROT_READ | PROT_WRITE);
	map(NATIVE_CODE, NATIVE_CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
	memset((void *)NATIVE_DATA, 0, 3ul * NATIVE_PAGE);
	mprotect((void *)NATIVE_READ_ONLY, NATIVE_PAGE, PROT_READ);
	memset((void *)NATIVE_CODE, NATIVE_INT3, NATIVE_CODE_SIZE);

	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL))
		_exit(1);
	sigemptyset(&action.sa_mask);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	syscall(SYS_arch_prctl, ARCH_SET_GS, NATIVE_GS_BASE);
	batch->nr = 0;
	raise(SIGTRAP);
	_exit(1);
}

struct native_host *native_host_create(struct native_batch **ret_batch)
{
	struct native_host *host = calloc(1, sizeof(*host));
	int sockets[2];
	char byte;

	if (!host)
		return NULL;
	host->batch = mmap(NULL, sizeof(*host->batch), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (host->batch == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		goto fail;
	batch = host->batch;
	host->child = fork();
	if (host->child == 0) {
		close(sockets[0]);
		socket_fd = sockets[1];
		child();
	}
	close(sockets[1]);
	host->socket = sockets[0];
	if (host->child < 0 || read(host->socket, &byte, 1) != 1)
		goto fail;
	*ret_batch = host->batch;
	return host;

fail:
	free(host);
	return NULL;
}

bool native_host_run(struct native_host *host, uint32_t *ret_case)
{
	struct pollfd poll_fd = {.fd = host->socket, .events = POLLIN};
	char byte = 0;

	/* Where it stops short: the first case whose registers were not taken. */
	for (uint32_t i = 0; i < host->batch->nr; i++)
		host->batch->cases[i].after.rip = 0;
	if (write(host->socket, &byte, 1) == 1 && poll(&poll_fd, 1, PATIENCE_MS) == 1 &&
	    read(host->socket, &byte, 1) == 1)
		return true;
	for (*ret_case = 0; *ret_case + 1 < host->batch->nr; ++*ret_case)
		if (!host->batch->cases[*ret_case].after.rip)
			break;
	return false;
}

void native_host_destroy(struct native_host *host)
{
	if (!host)
		return;
	close(host->socket);
	kill(host->child, SIGKILL);
	waitpid(host->child, NULL, 0);
	munmap(host->batch, sizeof(*host->batch));
	free(host);
}

struct feature {
	const char *name;
	uint32_t leaf, subleaf;
	uint8_t reg; /* EAX, EBX, ECX, EDX */
	uint8_t bit;
};

bool native_host_has(const char *feature)
{
	static const struct feature features[] = {
		{"sse3", 1, 0, 2, 0},
		{"ssse3", 1, 0, 2, 9},
		{"cx16", 1, 0, 2, 13},
		{"sse4.1", 1, 0, 2, 19},
		{"sse4.2", 1, 0, 2, 20},
		{"movbe", 1, 0, 2, 22},
		{"popcnt", 1, 0, 2, 23},
		{"xsave", 1, 0, 2, 27},
		{"bmi1", 7, 0, 1, 3},
		{"bmi2", 7, 0, 1, 8},
		{"adx", 7, 0, 1, 19},
		{"clflushopt", 7, 0, 1, 23},
		{"clwb", 7, 0, 1, 24},
		{"lahf", 0x80000001u, 0, 2, 0},
		{"lzcnt", 0x80000001u, 0, 2, 5},
		{"prefetchw", 0x80000001u, 0, 2, 8},
	};
	uint32_t r[4];

	if (!feature)
		return true;
	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (!strcmp(features[i].name, feature))
			return __get_cpuid_count(features[i].leaf, features[i].subleaf, &r[0],
						 &r[1], &r[2], &r[3]) &&
			       (r[features[i].reg] >> features[i].bit & 1);
	return false;
}
