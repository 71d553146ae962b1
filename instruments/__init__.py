"""What a laboratory says: roles, stations and mock instruments on one physics bench."""
