# vmm-core/x86: files of this room
