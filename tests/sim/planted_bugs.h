// The planted bugs that the simulator must find; scripts/stages/30-checked hunts each. Bugs that
// only other tests can see (the client port's, damage at rest, memory) are proved by those tests;
// the stage names them.
#pragma once

namespace tidemark::sim {

inline constexpr const char* kPlantedBugs[] = {
    "journal_ack_before_sync",           // R1
    "journal_direct_write_not_durable",  // R1
    "journal_recovery_without_sync",     // D3
    "kvstore_refusal_not_confirmed",     // stale refusals
    "kvstore_answer_before_apply",
    "kvstore_dependent_put_does_not_wait",
    "read_barrier_reuses_tail",             // etcd #20418
    "mvcc_compact_drops_newest_tombstone",  // etcd #17780, #18089
    "watch_skip_on_compaction",             // etcd #17529
    "watch_future_start_gets_old_events",   // etcd #20221
    "partition_progress_ahead",             // etcd #15220
    "partition_progress_behind",
    "partition_half_txn",  // P4
    "lease_revoke_without_hold",
    "merge_ignores_watermark",           // P3
    "kvstore_adopted_applied_twice",     // etcd #13766, the other way round
    "checkpoint_trims_to_the_newest",    // J9
    "checkpoint_failed_counts_as_made",  // J9
    "checkpoint_forgets_compaction",     // S4
    "checkpoint_forgets_leases",         // S4, etcd #11651
    "checkpoint_walk_not_pinned",
    "start_skips_an_entry",        // etcd #13766
    "start_forgets_a_leased_key",  // S4
    "watch_port_does_not_wait",    // W2 of a partition that is still loaded
    "journal_trim_without_state",  // J8 over a trim
    "budget_charge_kept",          // M2
    "watch_budget_kept",           // M2
};

}  // namespace tidemark::sim
