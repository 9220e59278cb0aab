# Systems of their own: Debian's kernel in an emulator, with real KVM inside; docs/lab.md.
check_PROGRAMS += tests/lab/exit_cost
tests_lab_exit_cost_SOURCES = tests/lab/exit_cost.c
# The short form of both labs, for every run; what takes minutes more is for --full.
LAB_TESTS = $(QEMU_LAB_TESTS) tests/lab/test_lab_bochs.py
QEMU_LAB_TESTS = tests/lab/test_lab_qemu.py tests/lab/test_lab_systemd.py
QEMU_LAB_LONG_TESTS = \
	tests/lab/test_lab_collectors.py \
	tests/lab/test_lab_exact.py \
	tests/lab/test_lab_exits.py
FULL_TESTS += $(QEMU_LAB_LONG_TESTS)
EXTRA_DIST += $(QEMU_LAB_LONG_TESTS)
EXTRA_DIST += $(QEMU_LAB_TESTS) tests/lab/image.py tests/lab/kernel_counts.py \
	tests/lab/lab_daemons.py tests/lab/qemu_lab.py tests/lab/systemd_lab.py

lab: lab-qemu lab-quickstart

lab-qemu: all
	UMBRA_FULL=1 $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(QEMU_LAB_TESTS) $(QEMU_LAB_LONG_TESTS)'

# quickstart in a fresh Debian root: root, debootstrap, a mirror.
lab-quickstart:
	$(srcdir)/tests/lab/quickstart_debootstrap.sh

lab-shell: all tests/lab/exit_cost tests/integration/kvm_owner
	$(PYTHON3) $(srcdir)/tests/lab/qemu_lab.py

# What the labs fetched of Debian.
distclean-local:
	rm -rf tests/lab/cache

.PHONY: lab lab-qemu lab-quickstart lab-shell

# Intel's KVM in Bochs, AMD's in QEMU, and the model of the soft engine beside both.
LAB_MODEL_TESTS = tests/lab/test_lab_bochs.py tests/lab/test_lab_model.py
FULL_TESTS += tests/lab/test_lab_model.py
EXTRA_DIST += $(LAB_MODEL_TESTS) docs/lab.md tests/lab/bochs_inside.py tests/lab/bochs_lab.py \
	tests/lab/compare_model.py tests/lab/guest_runs.py tests/lab/kernel_exits.py
CLEANFILES += tests/lab/counts-bochs.json tests/lab/counts-qemu.json

lab: lab-model

# In the foreign VM of Bochs Debian's kernel boots here.
lab-model: all
	for test in $(LAB_MODEL_TESTS); do \
		UMBRA_LAB=1 $(PYTHON3) $(srcdir)/$$test || exit 1; \
	done
	$(PYTHON3) $(srcdir)/tests/lab/compare_model.py tests/lab/counts-bochs.json \
		tests/lab/counts-qemu.json

.PHONY: lab-model
