# vmm-core/paging: files of this room
