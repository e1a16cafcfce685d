"""Everything a trainer imports: the environment, groups of branches, the client, a farm for one machine."""
