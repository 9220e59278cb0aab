/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest of the host's KVM, as the thread that runs it sees it. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "device/apic_bus.h"
#include "device/lapic_registers.h"
#include "device/memory_map.h"
#include "engine/kvm.h"
#include "x86/flags.h"

#define NS_PER_SECOND 1000000000ull
/* Between two publications of what is counted. */
#define PUBLISH_NS 100000000ull

/* Below the top of the first 4 GiB, where neither RAM nor a device is: for Intel's real mode. */
#define IDENTITY_MAP     0xfffbc000ull
#define TSS_ADDRESS      0xfffbd000ull

#define IRQ_TIMER        0u
#define IRQ_SCI          9u
#define IOAPIC_PIN_TIMER 2u
#define IOAPIC_ID        8u /* FIRMWARE_IOAPIC_ID */

static uint64_t monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t kvm_time(const struct umbra_guest *guest)
{
	const struct kvm_guest *kvm = guest->kvm;

	return kvm->origin ? monotonic() - kvm->origin : 0;
}

void kvm_wake(struct kvm_guest *kvm)
{
	sem_post(&kvm->wake);
}

void kvm_end(struct umbra_guest *guest, unsigned cpu, enum umbra_end_reason reason,
	     const char *format, ...)
{
	struct umbra_end *end = &guest->kvm->end;
	va_list arguments;

	if (end->reason != UMBRA_END_NONE)
		return;
	end->reason = reason;
	end->cpu = (uint8_t)cpu;
	va_start(arguments, format);
	vsnprintf(end->text, sizeof(end->text), format, arguments);
	va_end(arguments);
	kvm_wake(guest->kvm);
}

void kvm_after_device(struct umbra_guest *guest, unsigned cpu)
{
	const struct umbra_end *end = machine_end(guest->machine);
	struct kvm_guest *kvm = guest->kvm;

	if (end && kvm->end.reason == UMBRA_END_NONE) {
		kvm_end(guest, cpu, end->reason, "%s", end->text);
		kvm->end.value = end->value;
	}
	if (machine_next_event(guest->machine) < kvm->sleeps_until)
		kvm_wake(kvm);
	if (kvm->own_chips)
		kvm_chips_tell(guest);
}

/* --- creation --------------------------------------------------------------------------------- */

static int refuse(struct umbra_error *ret_error, const struct umbra_guest_config *config,
		  const char *place, const char *text)
{
	return umbra_error_set(ret_error, -EOPNOTSUPP, config->name, place, "%s", text);
}

static int fail(struct umbra_error *ret_error, const struct umbra_guest *guest, const char *what)
{
	int error = -errno;

	return umbra_error_set(ret_error, error, guest->name, what, "KVM: %s", strerror(-error));
}

static int check_config(const struct umbra_guest_config *config, struct umbra_error *ret_error)
{
	static const char unknown[] =
		"not with the KVM engine: KVM knows nothing of retired instructions or models";

	if (config->mode != UMBRA_MODE_SHADOW && config->mode != UMBRA_MODE_EPT)
		return refuse(ret_error, config, umbra_mode_name(config->mode),
			      "the KVM engine has shadow or ept, whichever the host's KVM has");
	if (config->clock != UMBRA_CLOCK_CYCLES)
		return refuse(ret_error, config, "clock instructions", unknown);
	if (config->processor)
		return refuse(ret_error, config, "processor", unknown);
	if (config->backing == UMBRA_PAGE_1g)
		return refuse(ret_error, config, "backing 1g",
			      "the KVM engine has its memory in pages of 4k or 2m");
	return 0;
}

static void set_line(void *context, unsigned irq, bool level)
{
	const struct umbra_guest *guest = context;
	struct kvm_irq_level line = {.irq = irq, .level = level};

	(void)ioctl(guest->kvm->fd, KVM_IRQ_LINE, &line);
}

/* ISA interrupt 0 goes to pin 2 of the I/O APIC, as the firmware's tables say; KVM's does not. */
static int route_interrupts(const struct kvm_guest *kvm)
{
	struct kvm_irq_routing *routing;
	int error = 0;

	routing = calloc(1, sizeof(*routing) + (16 + IOAPIC_PINS) * sizeof(routing->entries[0]));
	if (!routing)
		return -ENOMEM;
	for (unsigned irq = 0; irq < 16; irq++) {
		if (irq == 2) /* the cascade */
			continue;
		routing->entries[routing->nr++] = (struct kvm_irq_routing_entry){
			.gsi = irq,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {.irqchip = irq < 8 ? KVM_IRQCHIP_PIC_MASTER
							 : KVM_IRQCHIP_PIC_SLAVE,
				      .pin = irq % 8},
		};
	}
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (pin == IOAPIC_PIN_TIMER)
			continue;
		routing->entries[routing->nr++] = (struct kvm_irq_routing_entry){
			.gsi = pin,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC,
				      .pin = pin == IRQ_TIMER ? IOAPIC_PIN_TIMER : pin},
		};
	}
	if (ioctl(kvm->fd, KVM_SET_GSI_ROUTING, routing))
		error = -errno;
	free(routing);
	return error;
}

/* As the firmware leaves KVM's chips: the SCI is a level, and the I/O APIC has its ID. */
static int set_up_chips(const struct kvm_guest *kvm)
{
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_PIC_SLAVE};

	if (ioctl(kvm->fd, KVM_GET_IRQCHIP, &chip))
		return -errno;
	chip.chip.pic.elcr |= 1u << IRQ_SCI % 8;
	if (ioctl(kvm->fd, KVM_SET_IRQCHIP, &chip))
		return -errno;
	chip = (struct kvm_irqchip){.chip_id = KVM_IRQCHIP_IOAPIC};
	if (ioctl(kvm->fd, KVM_GET_IRQCHIP, &chip))
		return -errno;
	chip.chip.ioapic.id = IOAPIC_ID;
	return ioctl(kvm->fd, KVM_SET_IRQCHIP, &chip) ? -errno : 0;
}

static int create_chips(struct umbra_guest *guest, int device, struct umbra_error *ret_error)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	struct kvm_guest *kvm = guest->kvm;
	int error;

	if (ioctl(device, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP) <= 0 ||
	    ioctl(device, KVM_CHECK_EXTENSION, KVM_CAP_PIT2) <= 0)
		kvm->own_chips = true;
	if (kvm->own_chips)
		return 0;
	if (ioctl(kvm->fd, KVM_CREATE_IRQCHIP, 0))
		return fail(ret_error, guest, "KVM_CREATE_IRQCHIP");
	if (ioctl(kvm->fd, KVM_CREATE_PIT2, &pit))
		return fail(ret_error, guest, "KVM_CREATE_PIT2");
	error = route_interrupts(kvm);
	if (!error)
		error = set_up_chips(kvm);
	if (error)
		return umbra_error_set(ret_error, error, guest->name, "interrupt controllers",
				       "KVM: %s", strerror(-error));
	return 0;
}

static int create_machine(struct umbra_guest *guest, const struct umbra_guest_config *config,
			  struct umbra_error *ret_error)
{
	const struct machine_config machine_config = {
		.console = config->console,
		.memory_size = config->memory,
		.nr_cpus = guest->nr_cpus,
		.set_line = guest->kvm->own_chips ? NULL : set_line,
		.context = guest,
	};
	int error = machine_create(&machine_config, &guest->machine);

	if (error)
		return umbra_error_set(ret_error, error, guest->name, NULL, "out of memory");
	return 0;
}

static int create_memory(struct umbra_guest *guest, const struct umbra_guest_config *config,
			 struct umbra_error *ret_error)
{
	struct kvm_userspace_memory_region region = {.memory_size = config->memory};
	int error = memory_create_together(&guest->memory, config->memory,
					   config->backing == UMBRA_PAGE_2m, ret_error);

	if (!error && config->backing == UMBRA_PAGE_2m && config->memory % (1u << SHIFT_2M))
		return umbra_error_set(ret_error, -EINVAL, guest->name, "backing",
				       "%llu bytes of memory are no multiple of 2 MiB",
				       (unsigned long long)config->memory);
	if (error)
		return error;
	region.userspace_addr = (uintptr_t)frames_host(&guest->memory.frames, 0);
	if (ioctl(guest->kvm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		return fail(ret_error, guest, "KVM_SET_USER_MEMORY_REGION");
	return 0;
}

static int create_vcpu(struct umbra_guest *guest, int device, unsigned index,
		       struct umbra_error *ret_error)
{
	struct kvm_guest *kvm = guest->kvm;
	struct kvm_vcpu *vcpu = &kvm->vcpu[index];
	void *run;
	int error;

	vcpu->fd = ioctl(kvm->fd, KVM_CREATE_VCPU, index);
	if (vcpu->fd < 0)
		return fail(ret_error, guest, "KVM_CREATE_VCPU");
	run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return fail(ret_error, guest, "vCPU");
	vcpu->run = run;
	vcpu->wait_for_sipi = index > 0;
	error = kvm_set_model(device, vcpu, ret_error);
	if (error)
		return error;
	error = kvm_vcpu_start_thread(vcpu);
	if (error)
		return umbra_error_set(ret_error, error, guest->name, "thread", "%s",
				       strerror(-error));
	return 0;
}

static void set_apic_register(struct kvm_lapic_state *apic, unsigned number, uint32_t value)
{
	memcpy(&apic->regs[16 * number], &value, sizeof(value));
}

/*
 * As the firmware leaves the boot processor's APIC: enabled, a virtual wire of the 8259s. Once all
 * vCPUs are there, for that is also when KVM looks which ones an IPI can reach.
 */
static int set_up_apic(const struct umbra_guest *guest, struct umbra_error *ret_error)
{
	int fd = guest->kvm->vcpu[0].fd;
	struct kvm_lapic_state apic;

	if (guest->kvm->own_chips)
		return 0;
	if (ioctl(fd, KVM_GET_LAPIC, &apic))
		return fail(ret_error, guest, "KVM_GET_LAPIC");
	set_apic_register(&apic, LAPIC_SVR, SVR_ENABLE | LVT_VECTOR);
	set_apic_register(&apic, LAPIC_LVT + LVT_LINT0, APIC_EXTINT << LVT_DELIVERY);
	set_apic_register(&apic, LAPIC_LVT + LVT_LINT1, APIC_NMI << LVT_DELIVERY);
	if (ioctl(fd, KVM_SET_LAPIC, &apic))
		return fail(ret_error, guest, "KVM_SET_LAPIC");
	return 0;
}

/* The VM itself, whose fixed addresses come before its vCPUs. */
static int create_vm(struct umbra_guest *guest, int device, struct umbra_error *ret_error)
{
	struct kvm_guest *kvm = guest->kvm;
	uint64_t identity_map = IDENTITY_MAP;
	int size = ioctl(device, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < 0 || ioctl(device, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return umbra_error_set(ret_error, -EOPNOTSUPP, guest->name, "KVM",
				       "the descriptor is not that of /dev/kvm, version %d",
				       KVM_API_VERSION);
	kvm->run_size = (size_t)size;
	kvm->fd = ioctl(device, KVM_CREATE_VM, 0);
	if (kvm->fd < 0)
		return fail(ret_error, guest, "KVM_CREATE_VM");
	if (ioctl(kvm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) ||
	    ioctl(kvm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS))
		return fail(ret_error, guest, "KVM_SET_TSS_ADDR");
	return create_chips(guest, device, ret_error);
}

/*
 * Since Linux 6.13 the first KVM_RUN makes a thread of the kernel's in this process, which its
 * embedder may forbid later.
 */
static int run_for_no_time(struct umbra_guest *guest, struct umbra_error *ret_error)
{
	struct kvm_vcpu *vcpu = &guest->kvm->vcpu[0];

	vcpu->run->immediate_exit = 1;
	if (ioctl(vcpu->fd, KVM_RUN, 0) && errno != EINTR)
		return fail(ret_error, guest, "KVM_RUN");
	return 0;
}

static int kvm_create(struct umbra_guest *guest, const struct umbra_guest_config *config,
		      struct umbra_error *ret_error)
{
	int error = check_config(config, ret_error), device = config->kvm->fd;
	struct kvm_guest *kvm;

	if (error)
		return error;
	kvm = calloc(1, (sizeof(*kvm) + 63) & ~63ul);
	if (!kvm)
		return umbra_error_set(ret_error, -ENOMEM, guest->name, NULL, "out of memory");
	guest->kvm = kvm;
	kvm->fd = kvm->stats_fd = -1;
	for (unsigned i = 0; i < UMBRA_MAX_CPUS; i++)
		kvm->vcpu[i] =
			(struct kvm_vcpu){.guest = guest, .index = i, .fd = -1, .stats_fd = -1};
	kvm->mode = config->mode;
	kvm->own_chips = config->kvm->own_chips;
	kvm->published = config->kvm->figures;
	sem_init(&kvm->wake, 0, 0);
	pthread_mutex_init(&kvm->lock, NULL);
	pthread_cond_init(&kvm->go, NULL);
	pthread_cond_init(&kvm->stopped, NULL);
	umbra_known_add(&guest->known, UMBRA_INDEX(struct umbra_counters, time, 0));
	error = create_vm(guest, device, ret_error);
	if (!error)
		error = create_memory(guest, config, ret_error);
	if (!error)
		error = create_machine(guest, config, ret_error);
	for (unsigned i = 0; i < guest->nr_cpus && !error; i++)
		error = create_vcpu(guest, device, i, ret_error);
	if (!error)
		error = set_up_apic(guest, ret_error);
	if (!error)
		error = run_for_no_time(guest, ret_error);
	return error ? error : kvm_open_figures(guest, ret_error);
}

static void kvm_destroy(struct umbra_guest *guest)
{
	struct kvm_guest *kvm = guest->kvm;

	if (!kvm)
		return;
	pthread_mutex_lock(&kvm->lock);
	kvm->over = true;
	pthread_cond_broadcast(&kvm->go);
	pthread_mutex_unlock(&kvm->lock);
	for (unsigned i = 0; i < UMBRA_MAX_CPUS; i++) {
		struct kvm_vcpu *vcpu = &kvm->vcpu[i];

		if (vcpu->has_thread)
			pthread_join(vcpu->thread, NULL);
		if (vcpu->run)
			munmap(vcpu->run, kvm->run_size);
		if (vcpu->fd >= 0)
			close(vcpu->fd);
	}
	kvm_close_figures(kvm);
	if (kvm->fd >= 0)
		close(kvm->fd);
	pthread_cond_destroy(&kvm->stopped);
	pthread_cond_destroy(&kvm->go);
	pthread_mutex_destroy(&kvm->lock);
	sem_destroy(&kvm->wake);
	free(kvm);
}

static int kvm_start(struct umbra_guest *guest, const struct boot_entry *entry,
		     struct umbra_error *ret_error)
{
	int error = kvm_set_entry(&guest->kvm->vcpu[0], entry);

	if (error)
		return umbra_error_set(ret_error, error, guest->name, "registers", "KVM: %s",
				       strerror(-error));
	return 0;
}

/* --- the run ---------------------------------------------------------------------------------- */

static void let_run(struct kvm_guest *kvm)
{
	pthread_mutex_lock(&kvm->lock);
	kvm->wanted = true;
	pthread_cond_broadcast(&kvm->go);
	pthread_mutex_unlock(&kvm->lock);
}

/* Returns when no vCPU is in KVM_RUN, and what each one asked of a device is done. */
static void stand_still(struct umbra_guest *guest)
{
	struct kvm_guest *kvm = guest->kvm;

	pthread_mutex_lock(&kvm->lock);
	kvm->wanted = false;
	pthread_cond_broadcast(&kvm->go);
	for (unsigned i = 0; i < guest->nr_cpus; i++) {
		kvm->vcpu[i].run->immediate_exit = 1;
		pthread_kill(kvm->vcpu[i].thread, kvm_signal());
	}
	while (kvm->running)
		pthread_cond_wait(&kvm->stopped, &kvm->lock);
	pthread_mutex_unlock(&kvm->lock);
}

/* Sleeps until guest time @until or until something happened. */
static void sleep_until(struct umbra_guest *guest, uint64_t until)
{
	struct kvm_guest *kvm = guest->kvm;
	uint64_t at = kvm->origin + until;
	struct timespec deadline = {.tv_sec = (time_t)(at / NS_PER_SECOND),
				    .tv_nsec = (long)(at % NS_PER_SECOND)};

	if (sem_clockwait(&kvm->wake, CLOCK_MONOTONIC, &deadline))
		return;
	while (!sem_trywait(&kvm->wake))
		;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Lets devices' timers run; until when the guest's thread may sleep, if nothing else happens. */
static uint64_t advance_devices(struct umbra_guest *guest)
{
	struct kvm_guest *kvm = guest->kvm;
	uint64_t until;

	pthread_mutex_lock(&kvm->lock);
	machine_advance(guest->machine, kvm_time(guest));
	if (kvm->own_chips)
		kvm_chips_tell(guest);
	until = earlier(machine_next_event(guest->machine), kvm->next_publication);
	if (guest->interval)
		until = earlier(until, guest->next_interval);
	kvm->sleeps_until = until;
	pthread_mutex_unlock(&kvm->lock);
	return until;
}

static bool happened(struct umbra_guest *guest, enum umbra_event *ret_event)
{
	struct kvm_guest *kvm = guest->kvm;
	bool ended;

	pthread_mutex_lock(&kvm->lock);
	ended = kvm->end.reason != UMBRA_END_NONE;
	pthread_mutex_unlock(&kvm->lock);
	if (ended) {
		*ret_event = UMBRA_EVENT_ENDED;
	} else if (guest->interval && kvm_time(guest) >= guest->next_interval) {
		guest->next_interval = kvm_time(guest) + guest->interval;
		*ret_event = UMBRA_EVENT_INTERVAL;
	} else if (__atomic_exchange_n(&kvm->kicked, false, __ATOMIC_ACQUIRE)) {
		*ret_event = UMBRA_EVENT_KICKED;
	} else {
		return false;
	}
	return true;
}

/* Of a vCPU that stands still: nothing but an INIT, or an NMI of a chip, can bring it back. */
static bool is_halted_for_good(const struct kvm_vcpu *vcpu)
{
	struct kvm_mp_state state;
	struct kvm_regs regs;

	if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) || ioctl(vcpu->fd, KVM_GET_REGS, &regs))
		return false;
	if (state.mp_state == KVM_MP_STATE_HALTED)
		return !(regs.rflags & RFLAGS_IF);
	return state.mp_state == KVM_MP_STATE_UNINITIALIZED ||
	       state.mp_state == KVM_MP_STATE_INIT_RECEIVED;
}

/*
 * With KVM's chips HLT never comes to user space. A guest that has not exited for a while is looked
 * at once: it may run on, or wait for an interrupt, or for ever.
 */
static void look_for_life(struct umbra_guest *guest)
{
	struct kvm_guest *kvm = guest->kvm;
	uint64_t exits = kvm->figures.counters.kvm_exits[0];
	bool dead = true;

	if (exits != kvm->exits || kvm->own_chips) {
		kvm->exits = exits;
		kvm->looked_at = false;
		return;
	}
	if (kvm->looked_at)
		return;
	kvm->looked_at = true;
	stand_still(guest);
	for (unsigned i = 0; i < guest->nr_cpus; i++)
		dead = dead && is_halted_for_good(&kvm->vcpu[i]);
	pthread_mutex_lock(&kvm->lock);
	if (dead)
		kvm_end(guest, 0, UMBRA_END_HALTED, "halted with nothing that could wake it");
	pthread_mutex_unlock(&kvm->lock);
	if (!dead)
		let_run(kvm);
}

static enum umbra_event kvm_engine_run(struct umbra_guest *guest, uint64_t until_instruction)
{
	struct kvm_guest *kvm = guest->kvm;
	enum umbra_event event;

	if (!kvm->origin)
		kvm->origin = monotonic();
	if (happened(guest, &event))
		return event;
	let_run(kvm);
	do {
		sleep_until(guest, advance_devices(guest));
		if (kvm_time(guest) >= kvm->next_publication) {
			kvm_collect_figures(guest);
			look_for_life(guest);
			kvm->next_publication = kvm_time(guest) + PUBLISH_NS;
		}
	} while (!happened(guest, &event));
	stand_still(guest);
	kvm_collect_figures(guest);
	if (event == UMBRA_EVENT_ENDED)
		kvm_get_place(&kvm->vcpu[kvm->end.cpu], &kvm->end);
	return event;
}

static void kvm_kick(struct umbra_guest *guest)
{
	__atomic_store_n(&guest->kvm->kicked, true, __ATOMIC_RELEASE);
	kvm_wake(guest->kvm);
}

/* --- questions -------------------------------------------------------------------------------- */

static int kvm_switch_to(struct umbra_guest *guest, enum umbra_mode to,
			 struct umbra_switch *ret_switch, struct umbra_error *ret_error)
{
	if (to == guest->kvm->mode)
		return umbra_error_set(ret_error, -EALREADY, "switch", umbra_mode_name(to),
				       "it is on");
	return umbra_error_set(ret_error, -EPERM, "switch", umbra_mode_name(to),
			       "the mode of a guest of the KVM engine is that of the host's KVM");
}

static const struct umbra_switch *kvm_last_switch(const struct umbra_guest *guest)
{
	return NULL;
}

static enum umbra_mode kvm_mode(const struct umbra_guest *guest)
{
	return guest->kvm->mode;
}

static const char *kvm_processor(const struct umbra_guest *guest)
{
	return "host";
}

static const struct umbra_end *kvm_engine_end(const struct umbra_guest *guest)
{
	return guest->kvm->end.reason == UMBRA_END_NONE ? NULL : &guest->kvm->end;
}

static void kvm_stop(struct umbra_guest *guest, enum umbra_end_reason reason, const char *text)
{
	struct kvm_guest *kvm = guest->kvm;

	pthread_mutex_lock(&kvm->lock);
	kvm_end(guest, 0, reason, "%s", text);
	pthread_mutex_unlock(&kvm->lock);
	kvm_get_place(&kvm->vcpu[kvm->end.cpu], &kvm->end);
	kvm_collect_figures(guest);
}

static void kvm_registers(const struct umbra_guest *guest, unsigned cpu,
			  struct umbra_registers *ret_registers)
{
	kvm_get_registers(&guest->kvm->vcpu[cpu], ret_registers);
}

static const struct umbra_kvm_figures *kvm_figures(const struct umbra_guest *guest)
{
	return &guest->kvm->figures;
}

const struct engine_ops kvm_engine = {
	.number = UMBRA_ENGINE_KVM,
	.create = kvm_create,
	.destroy = kvm_destroy,
	.start = kvm_start,
	.run = kvm_engine_run,
	.kick = kvm_kick,
	.switch_to = kvm_switch_to,
	.last_switch = kvm_last_switch,
	.mode = kvm_mode,
	.processor = kvm_processor,
	.time = kvm_time,
	.end = kvm_engine_end,
	.stop = kvm_stop,
	.registers = kvm_registers,
	.kvm_figures = kvm_figures,
};

size_t umbra_guest_kvm_calls(const struct umbra_guest *guest,
			     struct umbra_kvm_call ret_calls[UMBRA_KVM_CALLS_MAX])
{
	static const unsigned long of_vcpu[] = {
		KVM_RUN,     KVM_GET_REGS,  KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
		KVM_GET_FPU, KVM_INTERRUPT, KVM_NMI,      KVM_TRANSLATE, KVM_GET_MP_STATE,
	};
	const struct kvm_guest *kvm = guest->kvm;
	size_t nr = 0;

	if (!kvm)
		return 0;
	ret_calls[nr++] = (struct umbra_kvm_call){kvm->fd, KVM_IRQ_LINE};
	if (kvm->stats_fd >= 0)
		ret_calls[nr++] = (struct umbra_kvm_call){.fd = kvm->stats_fd};
	for (unsigned cpu = 0; cpu < guest->nr_cpus; cpu++) {
		const struct kvm_vcpu *vcpu = &kvm->vcpu[cpu];

		for (size_t i = 0; i < sizeof(of_vcpu) / sizeof(of_vcpu[0]); i++)
			ret_calls[nr++] = (struct umbra_kvm_call){vcpu->fd, of_vcpu[i]};
		if (vcpu->stats_fd >= 0)
			ret_calls[nr++] = (struct umbra_kvm_call){.fd = vcpu->stats_fd};
	}
	return nr;
}
