/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm_owner [OPTION VALUE]... [-- ANYTHING...]: a process that owns tiny VMs on /dev/kvm, for tests
 * of what watches VMs of others. What follows `--` is there to be found on its command line.
 *
 *   --vms N            made at the start (1)
 *   --vcpus N          of each VM (1)
 *   --first-vcpu N     KVM's number of the first (0)
 *   --work WORK        what guests do (halt):
 *                        none    vCPUs never run
 *                        halt    HLT
 *                        ports   OUT
 *                        touch   writes to 8 pages, then OUT
 *                        tables  unmaps and maps 8 pages, one by one, with INVLPG, writes to each,
 *                                loads CR3, then OUT
 *                        entries unmaps and maps 8 pages and writes to each, then OUT
 *                        spin    burns its CPU
 *                      halt and tables run at CPL 0, the others at CPL 3, which a KVM without
 *                      hardware virtualization runs natively: there entries is what has shadow
 *                      pages made and zapped
 *   --nap USEC         sleep at each HLT and OUT (1000)
 *   --start HOW        running, or paused: no vCPU runs before `resume` (running)
 *   --keep-stats yes   keeps KVM's statistics descriptors open, of VM and vCPUs
 *   --creator WHO      which thread makes VMs: main, thread (another one, which lives on), ended
 *                      (another one, which ends then) (main)
 *   --threads NAMES    of vCPU threads: plain (the program's), qemu (CPU N/KVM), wrong (as qemu,
 *                      but of the next vCPU) (plain)
 *   --process NAME     the process's name
 *
 * On standard output it prints, for each VM it makes,
 *   vm INDEX fd FD creator TID
 *   vcpu INDEX ID tid TID [stats FD]
 * and then `ready`. It does what it reads on standard input, a line each, and answers `ok` behind
 * what is printed (`error TEXT`, if it cannot), and ends at the end of it:
 *   create             one more VM
 *   close INDEX        closes all that is left of a VM, its vCPUs first
 *   close-stats INDEX  only its statistics descriptors
 *   share INDEX        duplicates its descriptor of a VM, and has a child that inherits all
 *   pause, resume      no vCPU runs from the one to the other
 *   stats INDEX        KVM's statistics, as this process reads them:
 *                        stat vm NAME VALUE...
 *                        stat vcpu ID NAME VALUE...
 *   cycle N            makes and closes N VMs, one after another
 */
#define _GNU_SOURCE /* gettid(), names of threads */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "paging/entry.h"
#include "x86/control.h"

/* Guest-physical, and guest-virtual too: the first 2 MiB are mapped to themselves. */
enum {
	PAGE = 0x1000,
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	PT = 0x4000,
	CODE = 0x5000,
	DATA = 0x10000,
	MEMORY = 0x200000,
	PAGES_OF_VCPU = 8,
	VCPUS_WITH_PAGES = (MEMORY - DATA) / (PAGES_OF_VCPU * PAGE),
	MAX_VMS = 4096,
	MAX_VCPUS = 1024,
};

/* RBX: entries of the vCPU's pages, RSI: its pages, RCX: how many. */
__asm__(".pushsection .rodata\n"
	"guest_halt:\n"
	"1:	hlt\n"
	"	jmp 1b\n"
	"guest_ports:\n"
	"1:	outb %al, $0x10\n"
	"	jmp 1b\n"
	"guest_spin:\n"
	"1:	pause\n"
	"	jmp 1b\n"
	"guest_touch:\n"
	"1:	mov %rsi, %rdi\n"
	"	mov %rcx, %rdx\n"
	"2:	incq (%rdi)\n"
	"	add $0x1000, %rdi\n"
	"	dec %rdx\n"
	"	jnz 2b\n"
	"	outb %al, $0x10\n"
	"	jmp 1b\n"
	"guest_tables:\n"
	"1:	mov %rsi, %rdi\n"
	"	mov %rbx, %r8\n"
	"	mov %rcx, %rdx\n"
	"2:	movq $0, (%r8)\n"
	"	invlpg (%rdi)\n"
	"	mov %rdi, %rax\n"
	"	or $7, %rax\n"
	"	mov %rax, (%r8)\n"
	"	incq (%rdi)\n"
	"	add $0x1000, %rdi\n"
	"	add $8, %r8\n"
	"	dec %rdx\n"
	"	jnz 2b\n"
	"	mov %cr3, %rax\n"
	"	mov %rax, %cr3\n"
	"	outb %al, $0x10\n"
	"	jmp 1b\n"
	"guest_entries:\n"
	"1:	mov %rsi, %rdi\n"
	"	mov %rbx, %r8\n"
	"	mov %rcx, %rdx\n"
	"2:	movq $0, (%r8)\n"
	"	mov %rdi, %rax\n"
	"	or $7, %rax\n"
	"	mov %rax, (%r8)\n"
	"	incq (%rdi)\n"
	"	add $0x1000, %rdi\n"
	"	add $8, %r8\n"
	"	dec %rdx\n"
	"	jnz 2b\n"
	"	outb %al, $0x10\n"
	"	jmp 1b\n"
	"guest_end:\n"
	".popsection\n");
extern const char guest_halt[], guest_ports[], guest_spin[], guest_touch[], guest_tables[],
	guest_entries[], guest_end[];

static const struct work {
	const char *name;
	const char *code; /* NULL: vCPUs do not run */
	unsigned int cpl;
	bool pages;
} works[] = {
	{"none", NULL, 0, false},          {"halt", guest_halt, 0, false},
	{"ports", guest_ports, 3, false},  {"touch", guest_touch, 3, true},
	{"tables", guest_tables, 0, true}, {"entries", guest_entries, 3, true},
	{"spin", guest_spin, 3, false},
};

struct vcpu {
	int id, fd, stats; /* descriptors -1: none */
	bool started;
	pthread_t thread;
	pid_t tid;
	struct kvm_run *run;
};

struct vm {
	int fd, stats; /* -1: none */
	pid_t creator;
	bool made; /* by make_vm_and_stay() */
	uint8_t *memory;
	struct vcpu *vcpus;
};

static struct {
	unsigned long vms, vcpus, first_vcpu, nap;
	const struct work *work;
	const char *keep_stats, *creator, *threads, *process;
} options = {
	.vms = 1,
	.vcpus = 1,
	.nap = 1000,
	.work = &works[1],
	.keep_stats = "no",
	.creator = "main",
	.threads = "plain",
};

static int kvm;
static size_t run_size;
static struct kvm_cpuid2 *cpuid;
static struct vm vms[MAX_VMS];
static size_t nr_vms;

/* What vCPU threads wait for. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool paused;
static size_t running;
static const struct vm *closing;

static void fatal(const char *format, ...)
{
	va_list arguments;

	fputs("kvm_owner: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (%s)\n", strerror(errno));
	exit(70);
}

static int checked(int result, const char *what)
{
	if (result < 0)
		fatal("%s", what);
	return result;
}

static void load_guest(uint8_t *memory)
{
	const uint64_t flags = PTE_P | PTE_W | PTE_U;

	*(uint64_t *)(memory + PML4) = PDPT | flags;
	*(uint64_t *)(memory + PDPT) = PD | flags;
	*(uint64_t *)(memory + PD) = PT | flags;
	for (size_t i = 0; i < MEMORY / PAGE; i++)
		((uint64_t *)(memory + PT))[i] = i * PAGE | flags;
	memcpy(memory + CODE, guest_halt, (size_t)(guest_end - guest_halt));
}

static void set_registers(const struct vcpu *vcpu, size_t index)
{
	const struct work *work = options.work;
	const uint64_t pages = DATA + index % VCPUS_WITH_PAGES * PAGES_OF_VCPU * PAGE;
	const struct kvm_segment code = {
		.selector = 0x10 | work->cpl,
		.limit = 0xffffffff,
		.type = 11,
		.present = 1,
		.dpl = work->cpl,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	const struct kvm_regs regs = {
		.rip = CODE + (uint64_t)(work->code - guest_halt),
		.rflags = 0x3002, /* IOPL 3 */
		.rbx = PT + pages / PAGE * sizeof(uint64_t),
		.rsi = pages,
		.rcx = PAGES_OF_VCPU,
	};
	struct kvm_segment data = code;
	struct kvm_sregs sregs;

	data.selector = 0x18 | work->cpl;
	data.type = 3;
	data.l = 0;
	data.db = 1;
	checked(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs = data;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs.cr3 = PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA | EFER_NXE;
	checked(ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	checked(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	checked(ioctl(vcpu->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

struct start {
	const struct vm *vm;
	struct vcpu *vcpu;
	size_t index;
};

static void name_thread(const struct vcpu *vcpu)
{
	char name[16];

	if (!strcmp(options.threads, "plain"))
		return;
	snprintf(name, sizeof(name), "CPU %d/KVM",
		 vcpu->id + (!strcmp(options.threads, "wrong") ? 1 : 0));
	pthread_setname_np(pthread_self(), name);
}

/* Waits while all are paused; false: the VM is being closed. */
static bool may_run(const struct start *start)
{
	bool result;

	pthread_mutex_lock(&lock);
	start->vcpu->run->immediate_exit = 0;
	if (paused && closing != start->vm) {
		running--;
		pthread_cond_broadcast(&changed);
		while (paused && closing != start->vm)
			pthread_cond_wait(&changed, &lock);
		running++;
	}
	result = closing != start->vm;
	pthread_mutex_unlock(&lock);
	return result;
}

static void *vcpu_main(void *argument)
{
	const struct start start = *(struct start *)argument;
	struct vcpu *vcpu = start.vcpu;

	free(argument);
	name_thread(vcpu);
	set_registers(vcpu, start.index);
	pthread_mutex_lock(&lock);
	vcpu->tid = gettid();
	running++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	while (may_run(&start)) {
		if (ioctl(vcpu->fd, KVM_RUN, NULL) < 0) {
			if (errno != EINTR && errno != EAGAIN)
				fatal("KVM_RUN");
			continue;
		}
		if (vcpu->run->exit_reason != KVM_EXIT_HLT && vcpu->run->exit_reason != KVM_EXIT_IO)
			fatal("exit reason %u, suberror %u", vcpu->run->exit_reason,
			      vcpu->run->internal.suberror);
		if (options.nap)
			usleep((useconds_t)options.nap);
	}
	pthread_mutex_lock(&lock);
	running--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void start_vcpu(const struct vm *vm, struct vcpu *vcpu, size_t index)
{
	struct start *start = malloc(sizeof(*start));

	if (!start)
		fatal("memory");
	*start = (struct start){vm, vcpu, index};
	errno = pthread_create(&vcpu->thread, NULL, vcpu_main, start);
	if (errno)
		fatal("pthread_create");
	vcpu->started = true;
	pthread_mutex_lock(&lock);
	while (!vcpu->tid)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static int open_stats(int fd)
{
	return strcmp(options.keep_stats, "yes")
		       ? -1
		       : checked(ioctl(fd, KVM_GET_STATS_FD, NULL), "KVM_GET_STATS_FD");
}

static void make_vcpu(struct vm *vm, size_t index)
{
	struct vcpu *vcpu = &vm->vcpus[index];

	vcpu->id = (int)(options.first_vcpu + index);
	vcpu->fd =
		checked(ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)vcpu->id), "KVM_CREATE_VCPU");
	vcpu->stats = open_stats(vcpu->fd);
	vcpu->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		fatal("mmap of a vCPU");
	if (options.work->code)
		start_vcpu(vm, vcpu, index);
}

static void *make_vm(void *argument)
{
	struct vm *vm = argument;
	struct kvm_userspace_memory_region region = {.memory_size = MEMORY};

	vm->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	vm->vcpus = calloc(options.vcpus, sizeof(*vm->vcpus));
	if (vm->memory == MAP_FAILED || !vm->vcpus)
		fatal("memory");
	load_guest(vm->memory);
	vm->fd = checked(ioctl(kvm, KVM_CREATE_VM, 0UL), "KVM_CREATE_VM");
	vm->creator = gettid();
	vm->stats = open_stats(vm->fd);
	region.userspace_addr = (uintptr_t)vm->memory;
	checked(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	if (!strcmp(options.creator, "thread"))
		return NULL;
	for (size_t i = 0; i < options.vcpus; i++)
		make_vcpu(vm, i);
	return NULL;
}

/* Another thread's work: it lives on, holding what it made, until the process ends. */
static void *make_vm_and_stay(void *argument)
{
	struct vm *vm = argument;

	make_vm(vm);
	pthread_mutex_lock(&lock);
	vm->made = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (;;)
		pause();
	return NULL;
}

static void create(struct vm *vm)
{
	pthread_t thread;

	*vm = (struct vm){.fd = -1, .stats = -1};
	if (!strcmp(options.creator, "main")) {
		make_vm(vm);
		return;
	}
	if (!strcmp(options.creator, "ended")) {
		errno = pthread_create(&thread, NULL, make_vm, vm);
		if (errno || (errno = pthread_join(thread, NULL)))
			fatal("pthread_create");
		return;
	}
	errno = pthread_create(&thread, NULL, make_vm_and_stay, vm);
	if (errno)
		fatal("pthread_create");
	pthread_detach(thread);
	pthread_mutex_lock(&lock);
	while (!vm->made)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < options.vcpus; i++)
		make_vcpu(vm, i);
}

static void print_vm(const struct vm *vm)
{
	printf("vm %zu fd %d creator %d\n", (size_t)(vm - vms), vm->fd, vm->creator);
	for (size_t i = 0; i < options.vcpus; i++) {
		const struct vcpu *vcpu = &vm->vcpus[i];

		printf("vcpu %zu %d tid %d", (size_t)(vm - vms), vcpu->id, vcpu->tid);
		if (vcpu->stats >= 0)
			printf(" stats %d", vcpu->stats);
		putchar('\n');
	}
}

/* Makes vCPU threads look at what has changed; the lock is held. */
static void kick(const struct vm *vm)
{
	for (size_t i = 0; i < options.vcpus; i++) {
		if (!vm->vcpus[i].started)
			continue;
		vm->vcpus[i].run->immediate_exit = 1;
		pthread_kill(vm->vcpus[i].thread, SIGUSR1);
	}
	pthread_cond_broadcast(&changed);
}

static void close_stats(struct vm *vm)
{
	for (size_t i = 0; i < options.vcpus; i++) {
		if (vm->vcpus[i].stats >= 0)
			close(vm->vcpus[i].stats);
		vm->vcpus[i].stats = -1;
	}
	if (vm->stats >= 0)
		close(vm->stats);
	vm->stats = -1;
}

static void close_vm(struct vm *vm)
{
	pthread_mutex_lock(&lock);
	closing = vm;
	kick(vm);
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < options.vcpus; i++)
		if (vm->vcpus[i].started)
			pthread_join(vm->vcpus[i].thread, NULL);
	closing = NULL;
	close_stats(vm);
	for (size_t i = 0; i < options.vcpus; i++) {
		munmap(vm->vcpus[i].run, run_size);
		close(vm->vcpus[i].fd);
	}
	close(vm->fd);
	munmap(vm->memory, MEMORY);
	free(vm->vcpus);
	vm->vcpus = NULL;
	vm->fd = -1;
}

static void pause_all(void)
{
	pthread_mutex_lock(&lock);
	paused = true;
	for (size_t i = 0; i < nr_vms; i++)
		if (vms[i].fd >= 0)
			kick(&vms[i]);
	while (running)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void resume_all(void)
{
	pthread_mutex_lock(&lock);
	paused = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void read_at(int fd, void *buffer, size_t size, size_t offset)
{
	if (pread(fd, buffer, size, (off_t)offset) != (ssize_t)size)
		fatal("statistics");
}

/* Prints all statistics of @owner's descriptor, each behind @prefix. */
static void print_stats(int owner, const char *prefix)
{
	int fd = checked(ioctl(owner, KVM_GET_STATS_FD, NULL), "KVM_GET_STATS_FD");
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	uint64_t *values;

	read_at(fd, &header, sizeof(header), 0);
	desc = malloc(sizeof(*desc) + header.name_size);
	if (!desc)
		fatal("memory");
	for (size_t i = 0; i < header.num_desc; i++) {
		const size_t size = sizeof(*desc) + header.name_size;

		read_at(fd, desc, size, header.desc_offset + i * size);
		values = calloc(desc->size, sizeof(*values));
		if (!values)
			fatal("memory");
		read_at(fd, values, desc->size * sizeof(*values),
			header.data_offset + desc->offset);
		printf("stat %s %s", prefix, desc->name);
		for (size_t j = 0; j < desc->size; j++)
			printf(" %" PRIu64, values[j]);
		putchar('\n');
		free(values);
	}
	free(desc);
	close(fd);
}

static void print_all_stats(const struct vm *vm)
{
	char prefix[32];

	print_stats(vm->fd, "vm");
	for (size_t i = 0; i < options.vcpus; i++) {
		snprintf(prefix, sizeof(prefix), "vcpu %d", vm->vcpus[i].id);
		print_stats(vm->vcpus[i].fd, prefix);
	}
}

static void share(const struct vm *vm)
{
	const pid_t parent = getpid();

	checked(dup(vm->fd), "dup");
	if (checked(fork(), "fork") > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

/* What went wrong; NULL: nothing. */
static const char *obey(const char *line)
{
	char verb[32] = "";
	unsigned long number = 0;
	int words = sscanf(line, "%31s %lu", verb, &number);
	struct vm *vm = words == 2 && number < nr_vms && vms[number].fd >= 0 ? &vms[number] : NULL;

	if (!strcmp(verb, "pause")) {
		pause_all();
	} else if (!strcmp(verb, "resume")) {
		resume_all();
	} else if (!strcmp(verb, "create")) {
		if (nr_vms == MAX_VMS)
			return "too many VMs";
		create(&vms[nr_vms]);
		print_vm(&vms[nr_vms++]);
	} else if (!strcmp(verb, "cycle") && words == 2) {
		if (nr_vms == MAX_VMS)
			return "too many VMs";
		for (; number; number--) {
			create(&vms[nr_vms]);
			close_vm(&vms[nr_vms]);
		}
	} else if (!vm) {
		return "no such command or VM";
	} else if (!strcmp(verb, "close")) {
		close_vm(vm);
	} else if (!strcmp(verb, "share")) {
		share(vm);
	} else if (!strcmp(verb, "close-stats")) {
		close_stats(vm);
	} else if (!strcmp(verb, "stats")) {
		print_all_stats(vm);
	} else {
		return "no such command";
	}
	return NULL;
}

static const struct work *find_work(const char *name)
{
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		if (!strcmp(works[i].name, name))
			return &works[i];
	return NULL;
}

static bool take_number(const char *value, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(value, &end, 10);
	return !errno && end != value && !*end && *ret <= max;
}

/* @value is one of @names, which spaces divide. */
static bool take_name(const char *value, const char *names, const char **ret)
{
	const size_t length = strlen(value);

	*ret = value;
	for (const char *name = names; name; name = strchr(name, ' ')) {
		name += *name == ' ';
		if (!strncmp(name, value, length) && (!name[length] || name[length] == ' '))
			return length > 0;
	}
	return false;
}

static bool take_option(const char *name, const char *value)
{
	if (!strcmp(name, "--vms"))
		return take_number(value, MAX_VMS, &options.vms);
	if (!strcmp(name, "--vcpus"))
		return take_number(value, MAX_VCPUS, &options.vcpus);
	if (!strcmp(name, "--first-vcpu"))
		return take_number(value, MAX_VCPUS, &options.first_vcpu);
	if (!strcmp(name, "--nap"))
		return take_number(value, 1000000, &options.nap);
	if (!strcmp(name, "--work"))
		return (options.work = find_work(value)) != NULL;
	if (!strcmp(name, "--start")) {
		paused = !strcmp(value, "paused");
		return paused || !strcmp(value, "running");
	}
	if (!strcmp(name, "--keep-stats"))
		return take_name(value, "yes no", &options.keep_stats);
	if (!strcmp(name, "--creator"))
		return take_name(value, "main thread ended", &options.creator);
	if (!strcmp(name, "--threads"))
		return take_name(value, "plain qemu wrong", &options.threads);
	if (!strcmp(name, "--process")) {
		options.process = value;
		return true;
	}
	return false;
}

static void prepare(void)
{
	enum { CPUID_ENTRIES = 256 };

	kvm = checked(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	run_size =
		(size_t)checked(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL), "KVM_GET_VCPU_MMAP_SIZE");
	cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		fatal("memory");
	cpuid->nent = CPUID_ENTRIES;
	checked(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
}

static void on_signal(int number)
{
	(void)number; /* it only has to interrupt KVM_RUN */
}

int main(int argc, char **argv)
{
	const struct sigaction action = {.sa_handler = on_signal};
	char line[128];
	const char *error;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i += 2)
		if (!argv[i + 1] || !take_option(argv[i], argv[i + 1])) {
			fprintf(stderr, "kvm_owner: unknown option or value: %s\n", argv[i]);
			return 64;
		}
	if (options.work->pages && options.vcpus > VCPUS_WITH_PAGES) {
		fprintf(stderr, "kvm_owner: at most %d vCPUs have pages\n", VCPUS_WITH_PAGES);
		return 64;
	}
	if (options.process)
		prctl(PR_SET_NAME, options.process);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGUSR1, &action, NULL);
	prepare();
	while (nr_vms < options.vms) {
		create(&vms[nr_vms]);
		print_vm(&vms[nr_vms++]);
	}
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		error = obey(line);
		if (error)
			printf("error %s\n", error);
		else
			puts("ok");
	}
	return 0;
}
