/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/names.h"
#include "schemas/types.h"

/* Rows; what is not given is NULL or false. */
#define FIELD(field_key, field_kind, is_required, field_help, ...)                                 \
	{                                                                                          \
		.key = field_key, .kind = FIELD_##field_kind, .required = is_required,             \
		.help = field_help, __VA_ARGS__                                                    \
	}
#define OBJECT_TYPE(type_name, type_title, type_help, type_fields, with_metrics, ...)              \
	{                                                                                          \
		.name = type_name, .title = type_title, .help = type_help, .fields = type_fields,  \
		.has_metrics = with_metrics, __VA_ARGS__                                           \
	}

static const struct field end_fields[] = {
	FIELD("reason", ENUM, true, "Why the guest ended", .names = &end_reason_names),
	FIELD("value", COUNT, false, "What the guest wrote to the debug exit port 0xf4"),
	FIELD("rip", HEX, false, "Address of the instruction that ended it"),
	FIELD("bytes", STRING, false, "Its opcode bytes, as two hexadecimal digits each"),
	FIELD("cpu_mode", STRING, false, "Operating mode of the CPU then"),
	FIELD("cpu", COUNT, false, "Number of the vCPU that executed it, or ran last"),
	FIELD("text", STRING, false, "The same for people"),
	{.key = NULL},
};

/* A change of mode that found the mode on already, or one of the policy alone, has no switch. */
#define SWITCH_FIELDS(required)                                                                    \
	FIELD("instruction", COUNT, required, "Instructions retired when it happened",             \
	      .unit = "instructions"),                                                             \
		FIELD("time", COUNT, required, "Guest time, in units of time", .unit = "time"),    \
		FIELD("from", ENUM, required, "Mode before", .names = &mode_names),                \
		FIELD("to", ENUM, required, "Mode after", .names = &mode_names),                   \
		FIELD("pause_ns", COUNT, required,                                                 \
		      "Wall time the guest stood still, in nanoseconds", .unit = "ns"),            \
		FIELD("teardown_ns", COUNT, required,                                              \
		      "Of that, until the tables of the mode before were gone, in nanoseconds",    \
		      .unit = "ns"),                                                               \
		FIELD("zapped", COUNT, required, "Shadow pages dropped", .unit = "pages"),         \
		FIELD("built", COUNT, required,                                                    \
		      "Tables of the mode after that were built at once", .unit = "pages"),        \
		FIELD("refill_fills", COUNT, required, "Fills that it caused so far, in entries",  \
		      .unit = "entries"),                                                          \
		FIELD("refill_cycles", COUNT, required,                                            \
		      "Cycles of these fills, their exits included", .unit = "cycles"),            \
		FIELD("reason", STRING, required,                                                  \
		      "Who asked: policy, rollback, operator, schedule, configuration")

static const struct field switch_fields[] = {
	SWITCH_FIELDS(true),
	FIELD("number", COUNT, false, "1, 2, ... of this guest; not in a run"),
	FIELD("at", STRING, false, "When it happened (RFC 3339, UTC); not in a run"),
	{.key = NULL},
};

static const struct field last_switch_fields[] = {
	FIELD("from", ENUM, true, "Mode before", .names = &mode_names),
	FIELD("to", ENUM, true, "Mode after", .names = &mode_names),
	FIELD("reason", STRING, true, "Who asked: policy, rollback, operator, configuration"),
	FIELD("decision", COUNT, false,
	      "Decision that made it; absent: it was none, or it is not known"),
	FIELD("expected_percent", NUMBER, false,
	      "What that decision expected the mode after to cost more, in percent; less than 0: "
	      "it "
	      "was to be cheaper",
	      .unit = "percent"),
	FIELD("paid", BOOLEAN, false, "It was cheaper since; absent: not known yet"),
	{.key = NULL},
};

static const struct field figure_fields[] = {
	FIELD("cycles", COUNT, true, "Cycles for each event", .unit = "cycles"),
	FIELD("default", COUNT, true, "What it is by default", .unit = "cycles"),
	FIELD("origin", STRING, true, "The figure's source, or the file and line that gave it"),
	{.key = NULL},
};

static const struct field costs_fields[] = {
	FIELD("processor", STRING, true, "Processor that they are for"),
	FIELD("calibrated", BOOLEAN, true,
	      "All are this processor's own; false: some are borrowed from another"),
	FIELD("borrowed", COUNT, true, "How many are borrowed"),
	FIELD("figures", MAP, true, "Those that are not the default's", .type = "figure",
	      .names = &figure_names),
	{.key = NULL},
};

static const struct field cost_fields[] = {
	FIELD("cycles", NUMBER, true,
	      "Cycles of the interval in this mode: measured if it was on, else estimated",
	      .unit = "cycles"),
	FIELD("uncertainty", NUMBER, true, "Uncertainty of it, in cycles", .unit = "cycles"),
	{.key = NULL},
};

static const struct field input_fields[] = {
	FIELD("value", COUNT, true, "What was counted in the interval"),
	FIELD("model_only", BOOLEAN, true, "Only a simulator can see this"),
	FIELD("uncertainty", NUMBER, true, "Relative uncertainty; 0 is exact"),
	{.key = NULL},
};

static const struct field after_fields[] = {
	FIELD("intervals", COUNT, true, "Intervals measured since, refill set aside"),
	FIELD("cycles_per_instruction_before", NUMBER, true, "Cycles an instruction before",
	      .unit = "cycles/instruction"),
	FIELD("cycles_per_instruction", NUMBER, true, "Cycles an instruction since",
	      .unit = "cycles/instruction"),
	FIELD("refill_cycles", NUMBER, true, "What the switch really cost, in cycles",
	      .unit = "cycles"),
	FIELD("paid", BOOLEAN, true, "Cheaper than before; of a stay: the estimate held"),
	{.key = NULL},
};

static const struct field decision_fields[] = {
	FIELD("id", COUNT, true, "1, 2, ... of this guest"),
	FIELD("first_id", COUNT, false,
	      "The first of the stays for the same reason that this row stands for, with what the "
	      "last of them said; not in a run"),
	FIELD("count", COUNT, false, "How many these are; not in a run"),
	FIELD("first_at", STRING, false, "When the first was made (RFC 3339, UTC); not in a run"),
	FIELD("at", STRING, false, "When the last was made (RFC 3339, UTC); not in a run"),
	FIELD("time", COUNT, true, "Guest time, in units of time", .unit = "time"),
	FIELD("instruction", COUNT, true, "Instructions retired then", .unit = "instructions"),
	FIELD("mode", ENUM, true, "Mode that was on", .names = &mode_names),
	FIELD("cost", MAP, true, "What the interval cost or would have cost; no key: not known",
	      .type = "cost", .names = &mode_names),
	FIELD("rival", ENUM, true, "Best of the other modes; the mode that was on: there is none",
	      .names = &mode_names),
	FIELD("switch_cost", NUMBER, true,
	      "Of a switch to the rival: pause, teardown and expected refill, in cycles",
	      .unit = "cycles"),
	FIELD("threshold", NUMBER, true, "Advantage that a switch to it needs, in cycles",
	      .unit = "cycles"),
	FIELD("advantage", NUMBER, true, "Advantage that it has gathered so far, in cycles",
	      .unit = "cycles"),
	FIELD("action", ENUM, true, "What was decided", .names = &action_names),
	FIELD("target", ENUM, true, "Mode decided for", .names = &mode_names),
	FIELD("reason", STRING, true, "Rule that decided"),
	FIELD("inputs", MAP, true, "What the decision was made from; no key: not known",
	      .type = "input", .names = &input_names),
	FIELD("after", OBJECT, true, "What came of it; null: not known yet", .type = "after",
	      .nullable = true),
	{.key = NULL},
};

#define REGISTER(name, help) FIELD(name, HEX, true, help)
static const struct field registers_fields[] = {
	REGISTER("rax", "RAX"),
	REGISTER("rcx", "RCX"),
	REGISTER("rdx", "RDX"),
	REGISTER("rbx", "RBX"),
	REGISTER("rsp", "RSP"),
	REGISTER("rbp", "RBP"),
	REGISTER("rsi", "RSI"),
	REGISTER("rdi", "RDI"),
	REGISTER("r8", "R8"),
	REGISTER("r9", "R9"),
	REGISTER("r10", "R10"),
	REGISTER("r11", "R11"),
	REGISTER("r12", "R12"),
	REGISTER("r13", "R13"),
	REGISTER("r14", "R14"),
	REGISTER("r15", "R15"),
	REGISTER("rip", "RIP"),
	REGISTER("rflags", "RFLAGS"),
	REGISTER("cr0", "CR0"),
	REGISTER("cr2", "CR2"),
	REGISTER("cr3", "CR3"),
	REGISTER("cr4", "CR4"),
	REGISTER("efer", "IA32_EFER"),
	REGISTER("es", "Selector in ES"),
	REGISTER("cs", "Selector in CS"),
	REGISTER("ss", "Selector in SS"),
	REGISTER("ds", "Selector in DS"),
	REGISTER("fs", "Selector in FS"),
	REGISTER("gs", "Selector in GS"),
	REGISTER("fs_base", "Base of FS"),
	REGISTER("gs_base", "Base of GS"),
	FIELD("xmm", STRINGS, true, "XMM0 to XMM15, 32 hexadecimal digits each, highest first"),
	REGISTER("mxcsr", "MXCSR"),
	REGISTER("fcw", "x87 control word"),
	REGISTER("fsw", "x87 status word"),
	REGISTER("ftw", "x87 tag word"),
	REGISTER("fop", "Opcode of the last x87 instruction with an unmasked exception"),
	REGISTER("fip", "Offset of the last x87 instruction"),
	REGISTER("fcs", "Its selector"),
	REGISTER("fdp", "Offset of the last x87 operand in memory"),
	REGISTER("fds", "Its selector"),
	FIELD("st", STRINGS, true, "ST(0) to ST(7), 20 hexadecimal digits each, highest first"),
	{.key = NULL},
};

static const struct field vcpu_fields[] = {
	FIELD("id", COUNT, true, "KVM's number of it"),
	FIELD("tid", COUNT, false, "Thread that runs it; absent: not known"),
	{.key = NULL},
};

static const struct field vm_fields[] = {
	FIELD("process", STRING, true, "Name of the process that has the VM"),
	FIELD("unit", STRING, false,
	      "The last part of this process' control group; absent: not known"),
	FIELD("fd", COUNT, false,
	      "This process' descriptor of the VM, as in debugfs; absent: not known"),
	FIELD("start_time", COUNT, false,
	      "When this process started, in clock ticks since the host's boot",
	      .unit = "clock ticks"),
	FIELD("vcpus", LIST, false, "Its vCPUs; not in the list of all guests", .type = "vcpu"),
	{.key = NULL},
};

static const struct field bucket_fields[] = {
	FIELD("below_ns", COUNT, false,
	      "They took less, and at least half of it but for the first one, in nanoseconds; "
	      "absent: longer than all others",
	      .unit = "ns"),
	FIELD("count", COUNT, true, "How many these are"),
	{.key = NULL},
};

static const struct field duration_fields[] = {
	FIELD("count", COUNT, true, "Exits that were timed"),
	FIELD("seconds", NUMBER, true, "Time that they took in all, in seconds", .unit = "seconds"),
	FIELD("buckets", LIST, true, "How many of them took how long; none: left out",
	      .type = "bucket"),
	{.key = NULL},
};

static const struct field vm_cost_fields[] = {
	FIELD("cycles_per_second", NUMBER, false,
	      "What page walks and the exits for the mode's sake cost, in cycles a second of all "
	      "vCPUs; absent: not known",
	      .unit = "cycles/second"),
	FIELD("uncertainty", NUMBER, false, "Uncertainty of it, in cycles a second",
	      .unit = "cycles/second"),
	FIELD("share", NUMBER, false, "The same as a share of guest time; 1 is all of it"),
	FIELD("exits_per_second", NUMBER, false, "The exits' part, in cycles a second",
	      .unit = "cycles/second"),
	FIELD("walks_per_second", NUMBER, false, "The walks' part, in cycles a second",
	      .unit = "cycles/second"),
	FIELD("least_per_second", NUMBER, false,
	      "Where the whole is not known: it cannot be less than this, in cycles a second",
	      .unit = "cycles/second"),
	{.key = NULL},
};

static const struct field missing_fields[] = {
	FIELD("what", STRING, true, "What is not measured"),
	FIELD("why", STRING, true, "Why"),
	{.key = NULL},
};

static const struct field recommendation_fields[] = {
	FIELD("action", STRING, true, "What: mode, huge_pages, nx_huge_pages"),
	FIELD("reason", STRING, true, "What for"),
	FIELD("how", STRING, true, "How it is done on this host"),
	{.key = NULL},
};

static const struct field vm_advice_fields[] = {
	FIELD("mode", ENUM, false, "Mode that is on; absent: not known", .names = &mode_names),
	FIELD("guest_cycles_per_second", NUMBER, false,
	      "Guest time: cycles that its vCPUs ran in a second, exits included; absent: not "
	      "known",
	      .unit = "cycles/second"),
	FIELD("frequency", NUMBER, false,
	      "Nominal frequency by which times were made cycles; absent: not known",
	      .unit = "hertz"),
	FIELD("cost", MAP, true, "What each mode costs, measured or estimated; no key: not known",
	      .type = "vm_cost", .names = &mode_names),
	FIELD("better", ENUM, false,
	      "The cheaper mode, which may be the one that is on; absent: "
	      "not known",
	      .names = &mode_names),
	FIELD("confidence", STRING, true, "How sure that is: none, low, medium, high",
	      .pattern = "^(none|low|medium|high)$"),
	FIELD("confidence_share", NUMBER, false,
	      "The difference over the difference and its uncertainty: 0 to 1"),
	FIELD("reason", STRING, true, "For or against, for people"),
	FIELD("missing", LIST, true, "What is not measured, and why", .type = "missing"),
	FIELD("recommendations", LIST, true, "What the host's operator can do",
	      .type = "recommendation"),
	{.key = NULL},
};

/* "failed" and "starting" guests may have nothing measured yet: the metrics are not required then.
 */
static const struct field guest_fields[] = {
	FIELD("id", STRING, false, "What the API calls it; not in a run of `umbra run`"),
	FIELD("state", ENUM, false, "What it does now; not in a run", .names = &state_names),
	FIELD("observed", BOOLEAN, false,
	      "It is a VM of another program, which umbrad only measures; not in a run"),
	FIELD("pid", COUNT, false, "Process that runs it; absent: there is none"),
	FIELD("started", STRING, false, "When it was started, or started anew (RFC 3339, UTC)"),
	FIELD("starts", COUNT, false, "How often it was started since umbrad was; not in a run"),
	FIELD("restart_in_seconds", COUNT, false,
	      "Of a guest that ended or failed: when it starts anew; absent: it does not",
	      .unit = "seconds"),
	FIELD("guest", STRING, true, "Its name"),
	FIELD("engine", ENUM, true, "What executes it", .names = &engine_names),
	FIELD("mode", ENUM, false, "Paging mode that is on", .names = &mode_names,
	      .unless_observed = true),
	FIELD("mode_reason", STRING, false, "Where the mode comes from, or why it is not known"),
	FIELD("policy", ENUM, true, "Who decides the mode", .names = &policy_names),
	FIELD("policy_source", ENUM, false,
	      "Who said so: the configuration, a rule of it for workloads, or an operator since; "
	      "not in a run",
	      .names = &policy_source_names),
	FIELD("clock", ENUM, false,
	      "What guest time counts; absent: it is wall time, for KVM runs it",
	      .names = &clock_names, .if_soft = true),
	FIELD("processor", STRING, false,
	      "Processor whose TLB and costs are modelled; absent: it is the host's",
	      .if_soft = true),
	FIELD("costs", OBJECT, false, "What events cost; the default's figures are left out",
	      .type = "costs"),
	FIELD("cpus", COUNT, true, "Its vCPUs; all counts are sums over them"),
	FIELD("vm", OBJECT, false, "Of an observed guest: whose VM it is", .type = "vm"),
	FIELD("advice", OBJECT, false,
	      "Of an observed guest: whether the other mode would cost less; absent: not measured "
	      "long enough",
	      .type = "vm_advice"),
	FIELD("last_switch", OBJECT, false,
	      "The last live switch since its start; absent: there was none; not in a run",
	      .type = "last_switch"),
	FIELD("exit_durations", MAP, false,
	      "Times from an exit to the re-entry, of the exits that were timed; no key: no exit "
	      "for "
	      "this reason was",
	      .type = "duration", .names = &kvm_exit_reason_names),
	FIELD("kvm_other", COUNTS, false,
	      "Statistics of the host's KVM that have no other place here, under its own names, in "
	      "its units; of a histogram the sum"),
	FIELD("end", OBJECT, false, "How it ended; absent: it lives", .type = "end"),
	FIELD("collectors", LIST, false, "What measures it, and why something is not measured",
	      .type = "guest_collector"),
	FIELD("switches", LIST, false, "Its latest live switches, oldest first", .type = "switch"),
	FIELD("decisions", LIST, false, "Its latest decisions, oldest first", .type = "decision"),
	FIELD("memory_hash", STRING, false,
	      "XXH3-128 over its RAM in guest-physical order, untouched pages as zeros"),
	FIELD("registers", LIST, false, "Registers of each vCPU at the end", .type = "registers"),
	{.key = NULL},
};

#define COLLECTOR_FIELDS                                                                           \
	FIELD("name", STRING, true, "Of the collector"),                                           \
		FIELD("state", STRING, true,                                                       \
		      "ok, or why not all is measured: unsupported, denied or degraded, a colon "  \
		      "and "                                                                       \
		      "the reason",                                                                \
		      .pattern = "^(ok|(unsupported|denied|degraded): .+)$")

static const struct field guest_collector_fields[] = {
	COLLECTOR_FIELDS,
	{.key = NULL},
};

static const struct field collector_fields[] = {
	COLLECTOR_FIELDS,
	FIELD("help", STRING, true, "What it measures"),
	FIELD("run_time_ns", COUNT, false,
	      "Time that its programs in the kernel took, in nanoseconds; absent: it has none, or "
	      "the kernel does not count",
	      .unit = "ns"),
	FIELD("run_count", COUNT, false, "How often these programs ran"),
	FIELD("lost", COUNT, false, "Events that it had no room for; absent: it cannot lose any"),
	FIELD("unattributed", COUNT, false,
	      "Events that it saw but that are no single VM's; absent: it knows of each whose it "
	      "is"),
	{.key = NULL},
};

static const struct field collectors_fields[] = {
	FIELD("collectors", LIST, true, "Every collector that Umbra knows", .type = "collector"),
	{.key = NULL},
};

static const struct field guests_fields[] = {
	FIELD("guests", LIST, true, "Every guest, without its lists", .type = "guest"),
	{.key = NULL},
};

static const struct field decisions_fields[] = {
	FIELD("decisions", LIST, true, "Latest decisions of a guest, oldest first",
	      .type = "decision"),
	{.key = NULL},
};

static const struct field mode_request_fields[] = {
	FIELD("mode", ENUM, false, "Switch to this mode and pin it", .names = &mode_names),
	FIELD("policy", ENUM, false, "Let this policy decide from now on", .names = &policy_names),
	{.key = NULL},
};

static const struct field mode_fields[] = {
	FIELD("id", STRING, true, "The guest"),
	FIELD("mode", ENUM, false,
	      "Mode that is on now; absent: not known, which only that of an observed guest can be",
	      .names = &mode_names),
	FIELD("policy", ENUM, true, "Policy that decides now", .names = &policy_names),
	SWITCH_FIELDS(false),
	{.key = NULL},
};

/* An entry of a table, and what its bits say. */
static const struct field table_entry_fields[] = {
	FIELD("table", ENUM, true, "Whose table it is in", .names = &table_names),
	FIELD("level", COUNT, true, "Level of that table, 1 to 5"),
	FIELD("name", ENUM, true, "Name of that level", .names = &level_names),
	FIELD("index", COUNT, true, "Number of the entry in its table"),
	FIELD("gpa", HEX, false, "Guest-physical address of the entry, where it has one"),
	FIELD("hpa", HEX, false,
	      "Host-physical address of the entry; absent: its page has no frame, and reads as 0"),
	FIELD("translates", HEX, false,
	      "Of EPT: the guest-physical address that is being translated"),
	FIELD("entry", HEX, true, "Its value"),
	FIELD("flags", STRINGS, true, "Bits that are set in it, by their names in the manual"),
	{.key = NULL},
};

static const struct field guest_walk_fields[] = {
	FIELD("paging", ENUM, true, "How the vCPU pages", .names = &paging_names),
	FIELD("cr3", HEX, true, "Its CR3"),
	FIELD("pdpte", HEX, false, "PAE: the PDPTE register that the walk begins with"),
	FIELD("entries", LIST, true, "Entries of the guest's tables on the way, the first first",
	      .type = "table_entry"),
	FIELD("outcome", ENUM, true, "What the access comes to, whatever the mode",
	      .names = &outcome_names),
	FIELD("error_code", COUNT, false, "Of the page fault that the guest gets"),
	FIELD("error_flags", STRINGS, false, "Its bits that are set, by their names"),
	FIELD("gpa", HEX, false, "Guest-physical address that the tables lead to"),
	FIELD("page_bytes", COUNT, false,
	      "Size of the guest's page, in bytes; absent: it does not "
	      "page",
	      .unit = "bytes"),
	FIELD("write", BOOLEAN, false, "All entries on the way allow writing"),
	FIELD("user", BOOLEAN, false, "All entries on the way allow it to the user"),
	FIELD("execute", BOOLEAN, false, "No entry on the way forbids execution"),
	FIELD("key", COUNT, false, "Protection key of the page, 0 to 15"),
	{.key = NULL},
};

static const struct field mode_walk_fields[] = {
	FIELD("mode", ENUM, true, "Paging mode", .names = &mode_names),
	FIELD("on", BOOLEAN, true, "It is the one that is on"),
	FIELD("end", ENUM, true,
	      "How the hardware's walk over the mode's tables ends as they are now, with empty TLB "
	      "and walk caches; exit_...: what the VMM does then; no_tables: it has none",
	      .names = &walk_end_names),
	FIELD("steps", LIST, true, "References of that walk, the first first",
	      .type = "table_entry"),
	FIELD("exit_reason", ENUM, false, "Of the VM exit that ends it",
	      .names = &exit_reason_names),
	FIELD("exit_gpa", HEX, false, "Guest-physical address that EPT could not translate"),
	FIELD("error_code", COUNT, false, "Of the page fault that ends it, as the hardware has it"),
	FIELD("error_flags", STRINGS, false, "Its bits that are set, by their names"),
	FIELD("references", COUNT, false,
	      "Hardware references of a walk that finds all in place and may map the page",
	      .unit = "references"),
	FIELD("page_bytes", COUNT, false, "Bytes that one entry of the TLB translates then",
	      .unit = "bytes"),
	FIELD("walk_unknown", ENUM, false, "Why these two are not known", .names = &unknown_names),
	FIELD("hpa", HEX, false, "Host-physical address of the byte"),
	FIELD("hpa_unknown", ENUM, false, "Why it is not known", .names = &unknown_names),
	{.key = NULL},
};

static const struct field guest_advice_fields[] = {
	FIELD("id", STRING, true, "The guest"),
	FIELD("mode", ENUM, false, "Mode that is on; absent: not known", .names = &mode_names),
	FIELD("policy", ENUM, true, "Policy that decides", .names = &policy_names),
	FIELD("acts", BOOLEAN, true, "The policy switches by itself"),
	FIELD("advice", STRING, true, "What to do, for people"),
	FIELD("command", STRING, false, "The command that does it; absent: nothing is to be done"),
	FIELD("decision", COUNT, false, "Decision that the figures are of; absent: there are none"),
	FIELD("rival", ENUM, false, "Best of the other modes", .names = &mode_names),
	FIELD("cycles", NUMBER, false, "Cycles of the interval, measured", .unit = "cycles"),
	FIELD("rival_cycles", NUMBER, false, "Cycles it would have had in the rival, estimated",
	      .unit = "cycles"),
	FIELD("difference_percent", NUMBER, false,
	      "What the rival costs more, in percent; less than 0: it is cheaper",
	      .unit = "percent"),
	FIELD("uncertainty_percent", NUMBER, false, "Uncertainty of that, in percent",
	      .unit = "percent"),
	FIELD("sure", BOOLEAN, false, "The difference is larger than its uncertainty"),
	FIELD("observed", OBJECT, false,
	      "Of an observed guest, in place of the decision's figures; absent: not measured long "
	      "enough",
	      .type = "vm_advice"),
	{.key = NULL},
};

static const struct field advice_fields[] = {
	FIELD("guests", LIST, true, "Advice for each guest", .type = "guest_advice"),
	{.key = NULL},
};

static const struct field translation_fields[] = {
	FIELD("id", STRING, true, "The guest"),
	FIELD("gva", HEX, true, "Guest-virtual address"),
	FIELD("access", ENUM, true, "Access that is asked about", .names = &access_names),
	FIELD("cpu", COUNT, true, "Number of the vCPU whose registers it goes by"),
	FIELD("privilege", ENUM, true, "Privilege that this vCPU has now",
	      .names = &privilege_names),
	FIELD("instructions", COUNT, true, "Instructions retired when this was so",
	      .unit = "instructions"),
	FIELD("time", COUNT, true, "Guest time then, in units of time", .unit = "time"),
	FIELD("guest", OBJECT, true, "The guest's own tables", .type = "guest_walk"),
	FIELD("walks", LIST, true, "The walk of each mode, or of the one asked for",
	      .type = "mode_walk"),
	{.key = NULL},
};

static const struct field journal_fields[] = {
	FIELD("state", STRING, true, "ok, or why not everything is kept in the file"),
	FIELD("path", STRING, false, "The file; absent: in memory only"),
	FIELD("set_aside", STRING, false,
	      "What a damaged file was renamed to, in this run of umbrad"),
	FIELD("rows", COUNT, true, "Decisions and switches that are kept"),
	FIELD("bytes", COUNT, true, "That they take, in bytes", .unit = "bytes"),
	FIELD("dropped", COUNT, true, "Records lost since umbrad's start"),
	{.key = NULL},
};

static const struct field hugetlb_fields[] = {
	FIELD("page_bytes", COUNT, true, "Size of a page, in bytes", .unit = "bytes"),
	FIELD("pages", COUNT, true, "How many the host has set aside", .unit = "pages"),
	FIELD("free", COUNT, true, "How many of these nobody uses", .unit = "pages"),
	{.key = NULL},
};

static const struct field host_kvm_fields[] = {
	FIELD("available", BOOLEAN, true, "This host has KVM"),
	FIELD("module", STRING, false, "Module that is KVM's hardware side; absent: not known"),
	FIELD("mode", ENUM, false, "Paging mode that its VMs are in; absent: not known",
	      .names = &mode_names),
	FIELD("parameter", STRING, false, "Parameter of the module that says so, with its value"),
	FIELD("reason", STRING, false, "Why this is the mode, or why there is no KVM, for people"),
	FIELD("transparent_hugepage", STRING, false,
	      "When the host gives huge pages by itself: always, madvise, never; absent: not "
	      "known"),
	FIELD("nx_huge_pages", STRING, false,
	      "Whether KVM maps executed huge pages in pieces, as its parameter says; absent: not "
	      "known"),
	FIELD("lockdown", STRING, false,
	      "The kernel's lockdown: none, integrity, confidentiality; absent: not known"),
	FIELD("hugetlb", LIST, true, "Huge pages that the host has set aside, by size",
	      .type = "hugetlb"),
	{.key = NULL},
};

static const struct field host_request_fields[] = {
	FIELD("frozen", BOOLEAN, true, "No guest is to switch its mode, or all may again"),
	{.key = NULL},
};

static const struct field host_fields[] = {
	FIELD("version", STRING, true, "Of umbrad"),
	FIELD("hostname", STRING, true, "Of this host"),
	FIELD("kernel", STRING, true, "Release of its kernel"),
	FIELD("machine", STRING, true, "Its architecture"),
	FIELD("cpus", COUNT, true, "CPUs that are online"),
	FIELD("memory_bytes", COUNT, true, "Its memory, in bytes", .unit = "bytes"),
	FIELD("pid", COUNT, true, "Of umbrad"),
	FIELD("started", STRING, true, "When umbrad started (RFC 3339, UTC)"),
	FIELD("time", STRING, true, "When this was true (RFC 3339, UTC)"),
	FIELD("guests", COUNT, true, "Guests that umbrad knows"),
	FIELD("configuration", OBJECT, true, "What became of the configuration when it was read",
	      .type = "configuration"),
	FIELD("engines", TEXTS, true, "State of each engine: ok, or why not",
	      .names = &engine_names),
	FIELD("modes", STRINGS, true, "Paging modes of this build"),
	FIELD("processors", STRINGS, true, "Processors that this build models"),
	FIELD("frozen", BOOLEAN, true, "No guest switches its mode"),
	FIELD("kvm", OBJECT, true, "What this host's KVM is, as far as umbrad can see",
	      .type = "host_kvm"),
	FIELD("journal", OBJECT, true, "Where decisions, switches and settings are kept",
	      .type = "journal"),
	{.key = NULL},
};

static const struct field configuration_fields[] = {
	FIELD("loaded", STRING, true, "When the one that holds was read (RFC 3339, UTC)"),
	FIELD("ok", BOOLEAN, true, "false: it was to be read anew since, but something is wrong"),
	FIELD("error", STRING, false, "What is wrong, a line for each mistake"),
	{.key = NULL},
};

static const struct field problem_fields[] = {
	FIELD("type", STRING, true, "A URI of the kind of problem; about:blank: see status"),
	FIELD("title", STRING, true, "The kind of problem for people"),
	FIELD("status", COUNT, true, "HTTP status code"),
	FIELD("detail", STRING, false, "This occurrence for people"),
	FIELD("instance", STRING, false, "What was asked for"),
	{.key = NULL},
};

static const struct field schema_entry_fields[] = {
	FIELD("name", STRING, true, "Its name"),
	FIELD("title", STRING, true, "What it describes, in a few words"),
	FIELD("path", STRING, true, "Where it is"),
	{.key = NULL},
};

static const struct field parameter_fields[] = {
	FIELD("name", STRING, true, "Of the parameter"),
	FIELD("description", STRING, true, "What it means, and what it may be"),
	{.key = NULL},
};

static const struct field route_fields[] = {
	FIELD("path", STRING, true, "The path; {id} stands for a guest's id, or a name"),
	FIELD("method", ENUM, true, "The method", .names = &method_names),
	FIELD("parameters", LIST, true, "What its query may have", .type = "parameter"),
	FIELD("request", STRING, false, "Schema of the body; absent: there is none"),
	FIELD("answer", STRING, false,
	      "Schema of the answer; absent: it is text, or a schema. What fails is a problem"),
	{.key = NULL},
};

static const struct field schemas_fields[] = {
	FIELD("schemas", LIST, true, "Every schema", .type = "schema_entry"),
	FIELD("routes", LIST, true, "What can be asked for", .type = "route"),
	{.key = NULL},
};

const struct object_type object_types[] = {
	OBJECT_TYPE("guest", "A guest", "A guest of umbrad, or the result of `umbra run --json`",
		    guest_fields, true),
	OBJECT_TYPE("guests", "All guests", "Answer of /api/v1/guests", guests_fields, false),
	OBJECT_TYPE("collectors", "Collectors", "Answer of /api/v1/collectors", collectors_fields,
		    false),
	OBJECT_TYPE("decisions", "Decisions of a guest", "Answer of /api/v1/guests/{id}/decisions",
		    decisions_fields, false),
	OBJECT_TYPE("decision", "A decision", "One decision of the policy", decision_fields, false),
	OBJECT_TYPE("switch", "A live switch", "One change of the paging mode", switch_fields,
		    false),
	OBJECT_TYPE("mode_request", "A change of mode or policy",
		    "Body of PUT /api/v1/guests/{id}/mode: exactly one of the two",
		    mode_request_fields, false, .exactly_one = true),
	OBJECT_TYPE("mode", "A guest's mode and policy",
		    "Answer of PUT /api/v1/guests/{id}/mode, with the switch that it made if it "
		    "made one",
		    mode_fields, false),
	OBJECT_TYPE("advice", "Advice", "What `umbra advise --json` says", advice_fields, false),
	OBJECT_TYPE("translation", "Where an address leads",
		    "Answer of /api/v1/guests/{id}/translate", translation_fields, false),
	OBJECT_TYPE("host", "This host", "Answer of /api/v1/host", host_fields, false),
	OBJECT_TYPE("host_request", "A change of the host", "Body of PUT /api/v1/host",
		    host_request_fields, false),
	OBJECT_TYPE("configuration", NULL, "State of umbrad's configuration", configuration_fields,
		    false),
	OBJECT_TYPE("problem", "A problem", "Problem details (RFC 9457)", problem_fields, false),
	OBJECT_TYPE("schemas", "Schemas", "Answer of /schemas/: what is served under which path",
		    schemas_fields, false),
	OBJECT_TYPE("schema_entry", NULL, "A schema", schema_entry_fields, false),
	OBJECT_TYPE("route", NULL, "A path and a method", route_fields, false),
	OBJECT_TYPE("parameter", NULL, "What a path's query may have", parameter_fields, false),
	OBJECT_TYPE("host_kvm", NULL, "A host's KVM", host_kvm_fields, false),
	OBJECT_TYPE("hugetlb", NULL, "Huge pages of one size", hugetlb_fields, false),
	OBJECT_TYPE("journal", NULL, "The journal", journal_fields, false),
	OBJECT_TYPE("guest_collector", NULL, "What measures a guest", guest_collector_fields,
		    false),
	OBJECT_TYPE("collector", NULL, "A source of what is measured", collector_fields, false),
	OBJECT_TYPE("vm", NULL, "The VM of an observed guest", vm_fields, false),
	OBJECT_TYPE("vm_advice", NULL, "Advice for an observed guest", vm_advice_fields, false),
	OBJECT_TYPE("vm_cost", NULL, "What a mode costs a VM", vm_cost_fields, false),
	OBJECT_TYPE("missing", NULL, "What is not measured", missing_fields, false),
	OBJECT_TYPE("recommendation", NULL, "What an operator can do", recommendation_fields,
		    false),
	OBJECT_TYPE("vcpu", NULL, "A vCPU of it", vcpu_fields, false),
	OBJECT_TYPE("duration", NULL, "Times of exits for one reason", duration_fields, false),
	OBJECT_TYPE("bucket", NULL, "Exits that took about as long", bucket_fields, false),
	OBJECT_TYPE("last_switch", NULL, "The last switch of a guest", last_switch_fields, false),
	OBJECT_TYPE("end", NULL, "How a guest ended", end_fields, false),
	OBJECT_TYPE("costs", NULL, "Cost model of a guest", costs_fields, false),
	OBJECT_TYPE("figure", NULL, "A figure of the cost model", figure_fields, false),
	OBJECT_TYPE("cost", NULL, "Cost of an interval in one mode", cost_fields, false),
	OBJECT_TYPE("input", NULL, "One input of a decision", input_fields, false),
	OBJECT_TYPE("after", NULL, "What came of a decision", after_fields, false),
	OBJECT_TYPE("registers", NULL, "Registers of a vCPU", registers_fields, false),
	OBJECT_TYPE("guest_advice", NULL, "Advice for a guest", guest_advice_fields, false),
	OBJECT_TYPE("table_entry", NULL, "An entry of a table", table_entry_fields, false),
	OBJECT_TYPE("guest_walk", NULL, "A walk of the guest's own tables", guest_walk_fields,
		    false),
	OBJECT_TYPE("mode_walk", NULL, "A walk of one mode", mode_walk_fields, false),
	{.name = NULL},
};
