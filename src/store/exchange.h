/* A new database takes the place of the old one, whose write-ahead log must never meet the new one, and of which it
 * must never be without. */
#pragma once

#include "base/status.h"

/* Under the directory's lock. agent-sre.db.new becomes agent-sre.db. A failure leaves the old one in place, with its
 * log or in a state that exchange_settle brings back. */
NODISCARD enum status exchange_database(const char *dir);

/* Under the directory's lock, before the database is opened: what a crash has left half exchanged is taken back or
 * finished. */
NODISCARD enum status exchange_settle(const char *dir);
