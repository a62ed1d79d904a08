"""A storm: every service a process, a provider whose callbacks go wrong, SIGKILLs at random instants.

site.py       the processes: `payg serve` and `payg sandbox`, started, killed, started again
customers.py  payments, through momo's route and mese's menu
homes.py      devices of the real firmware that check in over HTTP
books.py      in the end: what everybody's database says, and whether it agrees
storm.py      all of it together, with a seed
"""
