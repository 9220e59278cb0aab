# Systems of their own: Debian's kernel in an emulator, with real KVM inside; docs/lab.md.
check_PROGRAMS += tests/lab/exit_cost
tests_lab_exit_cost_SOURCES = tests/lab/exit_cost.c
EXTRA_DIST += tests/lab/image.py tests/lab/qemu_lab.py

lab: lab-quickstart

# quickstart in a fresh Debian root: root, debootstrap, a mirror.
lab-quickstart:
	$(srcdir)/tests/lab/quickstart_debootstrap.sh

lab-shell: all tests/lab/exit_cost tests/integration/kvm_owner
	$(PYTHON3) $(srcdir)/tests/lab/qemu_lab.py

# What the labs fetched of Debian.
distclean-local:
	rm -rf tests/lab/cache

.PHONY: lab lab-quickstart lab-shell
