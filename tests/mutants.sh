#!/bin/sh
# Breaks the voting core on purpose, one way at a time, and says which test notices. Whoever survives
# marks a law that no test keeps.
#
#   tests/mutants.sh            all of them, in a copy under target/mutants
#   tests/mutants.sh promise    those whose names contain "promise"
#
# A mutant meets the unit tests of the core first, then the simulator of native clusters, with
# FLOATLOCK_SEEDS seeds (2500). About a minute each.
set -eu
cd "$(dirname "$0")/.."
chosen=${1:-}
home=target/mutants
mkdir -p "$home"
export CARGO_TARGET_DIR="$PWD/$home/target" RUST_BACKTRACE=0
export FLOATLOCK_SEEDS="${FLOATLOCK_SEEDS:-2500}"
survivors=0

fresh() {
    rm -rf "$home/src" "$home/tests" "$home/benches"
    cp -R Cargo.toml Cargo.lock src tests benches "$home/"
}

# What noticed: a test that fails, or none. A mutant that does not compile is a mistake in here.
judged() (
    cd "$home"
    if ! cargo test -q --lib --no-run >build.log 2>&1; then
        echo "DOES NOT COMPILE"
        return
    fi
    if ! cargo test -q --lib core:: >lib.log 2>&1; then
        sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p; s/^thread .\(core::[^ ]*\). .*panicked.*/\1/p' \
            lib.log | sort -u | head -1 | sed 's/^/unit test /'
        return
    fi
    if ! cargo test -q --test sim native >sim.log 2>&1; then
        sed -n 's/^ *[0-9]* times: \(.*\); seeds \(\[[0-9]*\).*/simulator: \1; \2]/p' sim.log |
            head -1 | grep . || echo "simulator"
        return
    fi
    echo "SURVIVES"
)

# mutant NAME FILE OLD NEW: both may have several lines.
mutant() {
    case $1 in *"$chosen"*) ;; *) return 0 ;; esac
    fresh
    if ! OLD=$3 NEW=$4 perl -0777 -pi -e \
        '$n = s/\Q$ENV{OLD}\E/$ENV{NEW}/; END { exit !$n }' "$home/$2"; then
        echo "$1: $2 does not say: $3" >&2
        exit 1
    fi
    verdict=$(judged)
    printf '%-44s %s\n' "$1" "$verdict"
    case $verdict in SURVIVES | DOES*) survivors=$((survivors + 1)) ;; esac
}

lease=src/core/lease
mutant "a promise one interval short" $lease/mod.rs \
    '/ 100 + granularity + QUEUED' '/ 100 * 4 / 5 + granularity + QUEUED'
mutant "no quarantine" $lease/mod.rs \
    'quarantine_until: now + promised' 'quarantine_until: now'
mutant "an answer to another boot counts" $lease/answers.rs \
    ' || boot != self.boot' ' || boot == BootId(0)'
mutant "who grants keeps its own request" $lease/voter.rs \
    'self.give_up(Some(from), out);' ''
mutant "a holder grants" $lease/voter.rs \
    'if self.holds_any() {' 'if false && self.holds_any() {'
mutant "a second promise while one runs" $lease/voter.rs \
    '.is_some_and(|(boot, _)| boot != request.boot)' '.is_some_and(|(boot, _)| false && boot != request.boot)'
mutant "RESIGN frees any promise" $lease/voter.rs \
    '&& promise.boot == resign.boot
            && promise.nonce <= resign.nonce_last' ''
mutant "RESIGN is forgotten" $lease/voter.rs \
    'request.nonce <= resigned.nonce_last' 'request.nonce == 0'
mutant "the resigner uses an older ack" $lease/candidate.rs \
    'out.push(Effect::Lost(why));
        self.abandon(out);' 'out.push(Effect::Lost(why));
        if why != Loss::Resigned { self.abandon(out); }'
mutant "a vote counts from the answer" $lease/answers.rs \
    'campaign.vote(Vote { from, epoch, until });
        campaign.acks_until' 'let until = until.max(self.now + self.settings.lease);
        campaign.vote(Vote { from, epoch, until });
        campaign.acks_until'
mutant "an epoch is used before it is stored" $lease/epoch.rs \
    'epoch <= self.mark' 'epoch <= self.mark.max(self.marking)'
mutant "an epoch starts anew at boot" $lease/mod.rs \
    'epochs: Epochs::new(boot.stored)' 'epochs: Epochs::new(Epoch::default())'
mutant "the event comes before the time" $lease/mod.rs \
    'self.lapse(out);
        self.take(event, out);' 'self.take(event, out);
        self.lapse(out);'
mutant "one of a pair does not look" $lease/answers.rs \
    'if answered {' 'if answered && false {'
mutant "one of a pair is never deaf" $lease/mod.rs \
    'self.settings.voters.pair() && away >' 'self.settings.voters.pair() && false && away >'
mutant "going on alone without silence" $lease/answers.rs \
    'let silent = self.silent_at <= self.now;' 'let silent = true;'
mutant "a candidate that gives way frees nothing" $lease/candidate.rs \
    'self.lay_down(epoch, to, out);
        }' 'let _ = epoch; let _ = to;
        }'
mutant "the votes go back before the gate is shut" src/core/group/leave.rs \
    'out.push(Effect::Release(attempt.term));
        // Law 6' 'if claiming.is_some() && self.is_shut(cause) { self.resign(out); }
        out.push(Effect::Release(attempt.term));
        // Law 6'
mutant "a late result of an old term is believed" src/core/group/role.rs \
    'self.term == term && matches' 'self.term >= term && matches'
mutant "a frame that proves nothing counts" src/core/mesh.rs \
    'return Verdict::Unproved;
        }
        peer.proved_at' '
        }
        peer.proved_at'
mutant "a frame counts twice" src/core/mesh.rs \
    'return Verdict::Replayed;' ''
mutant "a clock that stood still is no doubt" src/core/group/native.rs \
    'self.vote(lease::Event::Doubt, out);' ''

[ "$survivors" -eq 0 ] || {
    echo "$survivors survive" >&2
    exit 1
}
