#!/bin/sh
# Breaks the voting core and the gate on purpose, one way at a time, and says which test notices.
# Whoever survives marks a law that no test keeps.
#
#   tests/mutants.sh            all of them, in a copy under target/mutants
#   tests/mutants.sh promise    those whose names contain "promise"
#
# Judges: `unit` tests of the library; the native simulator with all laws (`sim`), judged only by who
# answers (`answers`), and the same as if no gate had a deadline, so that safety rests on the core alone
# (`gateless`); the `model` checker; the kernel's `gate` in namespaces, and agents on
# `hosts` behind it, a stand-in for the watchdog (`dogs`) and processes at a lock area (`locks`), as root. The
# simulator's frozen agents are the other way round: there the gate's deadline is all that ends an answer. `disks` simulates a pair with a disk that hangs, fails and tears,
# `vrrp` groups of VRRP, `arbiters` the same behind an arbiter, `references` the same with a reference.
#
# The first judge that notices is named. To ask all of them, and print who notices as a table:
#
#   FLOATLOCK_JUDGES="unit sim answers gateless model gate hosts" tests/mutants.sh
#
# The simulator plays FLOATLOCK_SEEDS seeds (2500). About a minute each; a judge that goes on for ten, as one does
# that a mutant keeps busy for ever, has noticed. FLOATLOCK_DRY=1 only looks
# whether the code still says what is to be broken.
set -eu
cd "$(dirname "$0")/.."
chosen=${1:-}
home=target/mutants
mkdir -p "$home"
export CARGO_TARGET_DIR="$PWD/$home/target" RUST_BACKTRACE=0 CARGO_PROFILE_DEV_DEBUG=0
export FLOATLOCK_SEEDS="${FLOATLOCK_SEEDS:-2500}"
asked=${FLOATLOCK_JUDGES:-}
survivors=0

fresh() {
    mkdir -p "$home"
    rm -rf "$home/src" "$home/tests" "$home/benches"
    cp -Rp Cargo.toml Cargo.lock src tests benches "$home/"
}

# Whom a change of this file concerns.
judges_of() {
    case $1 in
    src/core/disk/*) echo unit disks model ;;
    src/disk/* | src/wire/disk/*) echo unit locks ;;
    src/core/right.rs) echo unit sim answers vrrp arbiters disks hosts ;;
    src/core/group/warrant.rs | src/core/group/mod.rs) echo unit arbiters references ;;
    src/core/group/reference.rs | src/core/group/listen.rs) echo unit sim references answers gateless model ;;
    */watchdog.rs | src/agent/plan.rs) echo unit dogs ;;
    src/core/*) echo unit sim answers gateless model ;;
    src/gate/*) echo unit gate ;;
    tests/sim/*) echo sim answers gateless ;;
    *) echo unit hosts ;;
    esac
}

failed_test() {
    sed -n "s/^test \(.*\) \.\.\. FAILED\$/\1/p; s/^thread '\([^ ']*\)' .*panicked.*/\1/p" "$1" |
        sort -u | head -1 | sed 's/.*:://' | grep . || echo "yes"
}

broken_law() {
    sed -n 's/^ *[0-9]* times: \(.*\); seeds \(\[[0-9]*\).*/\1; seed \2]/p' "$1" | head -1 | grep . ||
        failed_test "$1"
}

# What the judge saw: a test, a law, or nothing.
judged() (
    cd "$home"
    log=$1.log
    case $1 in
    unit) cargo test -q --lib >"$log" 2>&1 || failed_test "$log" ;;
    sim) timeout 600 cargo test -q --test sim native >"$log" 2>&1 || broken_law "$log" ;;
    answers) FLOATLOCK_LAW="S1:" timeout 600 cargo test -q --test sim native >"$log" 2>&1 || broken_law "$log" ;;
    gateless)
        FLOATLOCK_LAW="S1 without" timeout 600 cargo test -q --test sim native >"$log" 2>&1 || broken_law "$log"
        ;;
    vrrp) timeout 600 cargo test -q --test sim a_cluster_keeps >"$log" 2>&1 || broken_law "$log" ;;
    disks) timeout 600 cargo test -q --test sim with_a_disk >"$log" 2>&1 || broken_law "$log" ;;
    arbiters) timeout 600 cargo test -q --test sim with_an_arbiter >"$log" 2>&1 || broken_law "$log" ;;
    references) timeout 600 cargo test -q --test sim a_cluster_with_a_reference >"$log" 2>&1 || broken_law "$log" ;;
    model) timeout 300 cargo test -q --test model >"$log" 2>&1 || failed_test "$log" ;;
    locks) timeout 300 cargo test -q --test lock >"$log" 2>&1 || failed_test "$log" ;;
    gate) timeout 300 cargo test -q --test gate >"$log" 2>&1 || failed_test "$log" ;;
    dogs) timeout 300 cargo test -q --test netns watchdog:: >"$log" 2>&1 || failed_test "$log" ;;
    hosts) timeout 300 cargo test -q --test netns -- gate:: renewal:: >"$log" 2>&1 || failed_test "$log" ;;
    *) echo "no such judge: $1" ;;
    esac
)

compiles() (
    cd "$home"
    case $1 in
    src/core/right.rs) cargo test -q --lib --test sim --test netns --no-run ;;
    */watchdog.rs) cargo test -q --lib --test netns --no-run ;;
    src/core/*) cargo test -q --lib --test sim --test model --no-run ;;
    src/disk/* | src/wire/disk/*) cargo test -q --lib --test lock --no-run ;;
    src/gate/*) cargo test -q --lib --test gate --no-run ;;
    tests/sim/*) cargo test -q --test sim --no-run ;;
    *) cargo test -q --lib --test netns --no-run ;;
    esac >build.log 2>&1
)

# The first that notices.
first() {
    for judge in $(judges_of "$2"); do
        seen=$(judged "$judge")
        [ -z "$seen" ] || { printf '%-52s %s: %s\n' "$1" "$judge" "$seen" && return; }
    done
    printf '%-52s SURVIVES\n' "$1"
    survivors=$((survivors + 1))
}

# Everybody, as a row of a table; what they saw goes to seen.txt.
all() {
    row="| $1 |" noticed=
    for judge in $asked; do
        case " $(judges_of "$2") " in
        *" $judge "*) ;;
        *) row="$row |" && continue ;;
        esac
        seen=$(judged "$judge")
        if [ -n "$seen" ]; then
            row="$row yes |" noticed=yes
            echo "$1: $judge: $seen" >>"$home/seen.txt"
        else
            row="$row **no** |"
        fi
    done
    echo "$row"
    [ -n "$noticed" ] || survivors=$((survivors + 1))
}

# mutant NAME FILE OLD NEW: both may have several lines.
mutant() {
    case $1 in *"$chosen"*) ;; *) return 0 ;; esac
    if [ -n "${FLOATLOCK_DRY:-}" ]; then
        OLD=$3 perl -0777 -ne 'exit(index($_, $ENV{OLD}) < 0)' "$2" ||
            { echo "$1: $2 does not say: $3" >&2 && survivors=$((survivors + 1)); }
        return 0
    fi
    fresh
    if ! OLD=$3 NEW=$4 perl -0777 -pi -e \
        '$n = s/\Q$ENV{OLD}\E/$ENV{NEW}/; END { exit !$n }' "$home/$2"; then
        echo "$1: $2 does not say: $3" >&2
        exit 1
    fi
    if ! compiles "$2"; then
        echo "$1: DOES NOT COMPILE, see $home/build.log"
        survivors=$((survivors + 1))
    elif [ -n "$asked" ]; then
        all "$1" "$2"
    else
        first "$1" "$2"
    fi
}

if [ -n "$asked" ]; then
    echo "| mutant | $(echo "$asked" | sed 's/ / | /g') |"
    echo "|---|$(echo "$asked" | sed 's/[^ ]* */---|/g')"
fi

lease=src/core/lease
mutant "a promise one interval short" $lease/mod.rs \
    '/ 100 + granularity + QUEUED' '/ 100 * 4 / 5 + granularity + QUEUED'
mutant "no quarantine" $lease/mod.rs \
    'quarantine_until: now + promised' 'quarantine_until: now'
mutant "a promise without its margin" $lease/mod.rs \
    'lease.saturating_mul(100 + 2 * RATE_ERROR) / 100 + granularity + QUEUED' \
    'lease + (granularity + QUEUED) * 0 * RATE_ERROR'
mutant "a quarantine without its margin" $lease/mod.rs \
    'quarantine_until: now + promised' 'quarantine_until: now + settings.lease'
mutant "who is in quarantine grants" $lease/voter.rs \
    'if self.now < self.quarantine_until && self.settings.voters.promising() > 2 {' 'if false {'
mutant "who is in quarantine stands" $lease/candidate.rs \
    'promised.max(stand_at).max(self.quarantine_until)' 'promised.max(stand_at)'
mutant "nonces begin anew at a start" $lease/mod.rs \
    'nonce: boot.nonce,' 'nonce: 0,'
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
mutant "RESIGN ends the quarantine" $lease/voter.rs \
    'if self.note(from, &resign) {' 'self.quarantine_until = self.now;
        if self.note(from, &resign) {'
mutant "a promise is bound to the last request" $lease/voter.rs \
    'nonce: nonce.max(request.nonce),' 'nonce: request.nonce,'
mutant "a candidate stands during its own promise" $lease/candidate.rs \
    'promised.max(stand_at).max(self.quarantine_until)' 'stand_at.max(self.quarantine_until)'
mutant "RESIGN is forgotten" $lease/voter.rs \
    'request.nonce <= resigned.nonce_last' 'request.nonce == 0'
mutant "the resigner uses an older ack" $lease/candidate.rs \
    'out.push(Effect::Lost(why));
        self.abandon(out);' 'out.push(Effect::Lost(why));
        if why != Loss::Resigned { self.abandon(out); }'
mutant "a vote counts from the answer" $lease/answers.rs \
    'let from = Voice::Node(from);
        campaign.vote(Vote { from, epoch, until });' 'let from = Voice::Node(from);
        let from_now = until.max(self.now + self.settings.lease);
        campaign.vote(Vote { from, epoch, until: from_now });'
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
mutant "one of a pair that stood still goes on by its own vote" $lease/mod.rs \
    'campaign.alone = false;
            campaign.acks_until = ' 'let _ = '
mutant "a candidate refused for its epoch waits for the beat" $lease/answers.rs \
    'campaign.again |= is_needed' 'campaign.again |= false && is_needed'
mutant "a candidate asks again though others may have granted" $lease/answers.rs \
    'let is_needed = self.settings.voters.pair();' 'let is_needed = true;'
mutant "a voter in quarantine raises the epoch of others" $lease/voter.rs \
    'Refusal::Quarantine => self.epochs.floor.min(request.epoch),' 'Refusal::Quarantine => self.epochs.floor,'
mutant "going on alone without the reference" src/core/lease/candidate.rs \
    '&& is_proven;' \
    ';'
mutant "the own vote outlasts the reference" src/core/lease/answers.rs \
    '(until.min(proven_until), epoch)' \
    '(until, epoch)'
mutant "the reference counts from the answer" src/core/lease/mod.rs \
    'asked_at.min(self.now) + self.settings.lease' \
    'asked_at.max(self.now) + self.settings.lease'
mutant "a look is enough without the reference" src/core/lease/answers.rs \
    '!silent || !proven' \
    '!silent'
mutant "a look counts as an answer of the reference" src/core/lease/answers.rs \
    'if !silent || !proven || !self.epochs.stored(epoch) {
            return;
        }' 'if !silent || !self.epochs.stored(epoch) {
            return;
        }
        let _ = proven;
        self.proof.show(self.now + self.settings.lease);'
mutant "a takeover without the reference" src/core/lease/proof.rs \
    'match self.settings.reference && !self.proof.solo {' \
    'match self.settings.reference && !self.proof.solo && self.authority().is_some() {'
mutant "solo for ever" src/core/lease/proof.rs \
    'self.solo &= !self.has_company || is_alone;' \
    'let _ = is_alone;'
mutant "solo in company" src/core/lease/proof.rs \
    'self.solo = !self.has_company;' \
    'self.solo = true;'
mutant "solo though the reference answers" src/core/lease/proof.rs \
    'self.solo = false;' \
    ''
mutant "yielding at a word of before the loss" src/core/group/reference.rs \
    'native.best_fit(since.max(now - native.patience()))' \
    'native.best_fit(now - native.patience())'
mutant "standing without the reference" src/core/group/native.rs \
    ' && self.is_fit()' \
    ''
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
    'self.term == term && waits' 'self.term >= term && waits'
mutant "a frame that proves nothing counts" src/core/mesh.rs \
    'if !proves {
            return match' 'if false {
            return match'
mutant "who takes its addresses off stands meanwhile" src/core/group/native.rs \
    'self.release(cause, out);
            self.rest(out);' 'self.release(cause, out);'
mutant "what comes late is silence" src/core/event.rs \
    'let word = match (role, word) {' 'if true { return None; }
        let word = match (role, word) {'
mutant "a late word of a later holder closes nobody" $lease/voter.rs \
    'if request.holding {
            let rank' 'if false {
            let rank'
mutant "a late word of a holder closes one of three" $lease/voter.rs \
    'if !is_ours || !self.settings.voters.pair() {' 'if !is_ours {'
mutant "a candidate that is not heard any more does not guard" src/agent/slot.rs \
    'Effect::Renew(_) if self.group.is_claiming() =>' 'Effect::Renew(_) if false =>'
mutant "what any run says late is no silence" src/core/mesh.rs \
    'true => Verdict::Late,
                false => Verdict::Unproved,' 'true | false => Verdict::Late,'
mutant "a successor gives up for the sake of who named it" $lease/voter.rs \
    'campaign.rest_at = Instant::NEVER;' ''
mutant "a frame counts twice" src/core/mesh.rs \
    'return Verdict::Replayed;' ''
mutant "a clock that stood still is no doubt" src/core/group/native.rs \
    'self.vote(lease::Event::Doubt, out);' ''
mutant "a heartbeat that left late opens a gate that has shut" src/core/right.rs \
    'filter(|_| sent && in_time)' 'filter(|_| sent && (in_time || sent))'

mutant "a holder does not notice the end of its lease" $lease/candidate.rs \
    'own.until <= now)' 'own.until <= now && false)'
mutant "a lease that was lost is not given up" src/core/group/native.rs \
    'Voted::Lost(Loss::Lapsed) => self.unvoted(out)' 'Voted::Lost(Loss::Lapsed) => {}'
mutant "a vote lasts L from now, whenever it was asked for" $lease/answers.rs \
    'let from = Voice::Node(from);
        campaign.vote(Vote { from, epoch, until });' 'let from = Voice::Node(from);
        let from_now = self.now + self.settings.lease;
        campaign.vote(Vote { from, epoch, until: from_now });'
mutant "an answer of long ago counts" $lease/campaign.rs \
    'self.asked.first().is_some_and(|asked| asked.until <= now)' 'false'
mutant "an epoch is never stored" $lease/epoch.rs \
    'epoch <= self.mark
' 'epoch <= self.mark || true
'
mutant "who took long to answer does not look again" $lease/mod.rs \
    'is_stale && has_other' 'false && is_stale && has_other'
mutant "a look counts for longer than it is fresh" $lease/answers.rs \
    'campaign.fresh_until = campaign.asked_until;' 'campaign.fresh_until = campaign.asked_until + super::LOOK;'
mutant "a voter that is storing is asked again at the beat" $lease/answers.rs \
    'campaign.ask_at = again_at;' 'let _ = again_at;'
mutant "a look right before the gate opens may be old" $lease/candidate.rs \
    'Some(within) => std::mem::replace(within, (*within * 2).min(LOOK)),' 'Some(_) => self.settings.lease.max(LOOK),'
mutant "who is answered right before opens all the same" $lease/answers.rs \
    'if confirms {
                self.lose(Loss::Answered, out);
            }
            return;' 'if confirms {
                out.push(Effect::Confirmed);
            }
            return;'
mutant "two that look at the same time both go on" $lease/answers.rs \
    'if !is_first {' 'if !is_first && false {'
mutant "a probe of another is no sign" src/core/group/listen.rs \
    'self.vote(lease::Event::Probed(of), out)' 'self.vote(lease::Event::Looked(of, false), out)'

mutant "gate: open for so long from now on" src/gate/slots.rs \
    'self.set(DEADLINE, until.as_nanos());' 'let now = crate::sys::clock::now();
        let left = until.since(now).max(std::time::Duration::from_millis(50));
        self.set(DEADLINE, (now + left).as_nanos());'
mutant "gate: nftables counts from when it was written" src/gate/writer.rs \
    'Wish::Until(until) => Some(until.since(now))' \
    'Wish::Until(until) => Some(until.since(now).max(Duration::from_millis(50)))'
mutant "gate: a deadline that has passed ends nothing" src/gate/program.rs \
    'code.if_less(R0, R1, open);' 'code.if_less(R0, R1, open);
        code.if_less(R1, R0, open);'
mutant "gate: closing does nothing" src/gate/slots.rs \
    'self.set(DEADLINE, 0);' ''
mutant "gate: arming does nothing" src/gate/slots.rs \
    'self.set(slot, ARMED, 1);
        self.note_armed(slot, true);' ''
mutant "gate: what has no deadline is open" src/gate/program.rs \
    'code.if_less(R0, R1, open);' 'code.if_less(R0, R1, open);
        code.if_equal(R1, 0, open);'
mutant "gate: answers to ARP go out" src/gate/program.rs \
    'self.key_v4(14); // sender
        self.check(Shut::Closed);' 'self.key_v4(14); // sender'
mutant "gate: neighbour advertisements go out" src/gate/program.rs \
    'self.pass_unless_byte(BYTES, 136);' 'self.pass_unless_byte(BYTES, 137);'
mutant "gate: the host itself is not asked" src/gate/program.rs \
    'self.key_v4(16); // destination
        self.check(Shut::Closed);' 'self.key_v4(16); // destination'
mutant "gate: adverts go out when the time is over" src/gate/program.rs \
    'self.check(Shut::Over);' ''
mutant "gate: an advert that is late is sent" src/net/heartbeat/sender.rs \
    'self.queue.retain(|queued| now < queued.until);' ''
mutant "gate: what has not begun claims nothing" src/gate/program.rs \
    'if shut == Shut::Over {' 'if false {'
right=src/core/right.rs
mutant "right: a renewal that did not leave counts" $right \
    '.filter(|_| sent && in_time)' '.filter(|_| (sent || true) && in_time)'
mutant "right: an opened gate forgets its end" $right \
    'self.gate.open_until(self.granted());' 'self.gate.open_until(Instant::NEVER);'
mutant "right: the gate is open for longer than it was told" $right \
    'self.gate.open_until(self.granted());' 'self.gate.open_until(self.granted() + LATE);'
mutant "right: giving up shuts nothing" $right \
    'self.asked = None;
        self.gate.close();' 'self.asked = None;'
mutant "right: a release is none of its business" $right \
    'Effect::Release(_) => self.shut(),' ''
mutant "right: a renewal counts from the answer" $right \
    'self.renewed = until;
        if self.open {
            self.ask_gate();
        }
    }

    /// Until when' 'self.renewed = until + until.since(self.renewed).min(LATE);
        if self.open {
            self.ask_gate();
        }
    }

    /// Until when'
mutant "right: what speaks for the node ends nothing" $right \
    'self.renewed.min(self.warrant)' 'self.renewed'
mutant "right: what was there before stays open" $right \
    'gate.close();
        gate.arm();' ''
mutant "lease: a group that begins anew repeats its nonces" src/agent/voting.rs \
    'nonce: clock::now().as_nanos(),' 'nonce: 0,'

acts=src/core/group/act.rs
mutant "acts: the addresses go on before the scripts have ended" $acts \
    'let waits = !within.is_zero() && !self.is_owner();' 'let waits = false;'
mutant "acts: a refusal is none" $acts \
    'false => self.not_promoted(false, out),' 'false => self.put_on(advert_at, out),'
mutant "acts: an answer to an older question counts" $acts \
    '            && waits_for == id
' '            && waits_for >= id
'
mutant "acts: who does not answer is not waited for any less" src/core/group/claim.rs \
    'None => self.not_promoted(true, out),' 'None => self.put_on(advert_at, out),'
mutant "acts: whoever answers meanwhile is not looked for" $acts \
    'true if self.is_native() => self.put_on' 'true => self.put_on'
mutant "acts: a planned end asks nobody" $acts \
    'if within.is_zero() || !matches!(self.role, Role::Master { .. }) {' 'if true {'
mutant "acts: a planned end waits though the lease is lost" $acts \
    'let is_prepared = self.demotion.take().is_some();' 'let is_prepared = self.demotion.is_some();'
mutant "acts: what acts for a lost lease goes on" $acts \
    'let lost = cause.is_loss();' 'let lost = cause.is_loss() && false;'
mutant "acts: nobody hears that the addresses are silent" $acts \
    'self.act(Act::Silenced { lost }, out);' ''
mutant "acts: a gate that is lost while scripts run is none of theirs" src/core/group/hold.rs \
    'claim: Claim::Promoting { .. } | Claim::Acquiring(_),' 'claim: Claim::Acquiring(_),'
queue=src/action/queue.rs
mutant "acts: what has not begun is not forgotten" $queue \
    'item.target == target && item.kind != kind' 'item.target == target || item.kind == kind'
mutant "acts: what acts for a holder goes on" $queue \
    'target == Target::Down && self.runs(Target::Up)' 'false'
mutant "acts: two run at a time" $queue \
    'if self.running.is_some() {
            return None;
        }' ''

disk=src/core/disk/mod.rs
tenure=src/core/disk/tenure.rs
mutant "tenure: a slot of another start is this one's" $tenure \
    '*boot == self.boot || Some(*boot) == self.guard.before' '*boot != BootId(0)'
mutant "tenure: the start before on this host is a stranger" $tenure \
    ' || Some(*boot) == self.guard.before' ''
mutant "tenure: a claim counts at once" $tenure \
    'if asked >= at + settle => State::Ours' 'if asked >= at => State::Ours'
mutant "tenure: a claim is written over a slot that is held" $tenure \
    'true => pause.max(wait),' 'true => pause,'
mutant "tenure: a claim is not answered" $tenure \
    'State::Ours if is_fresh => Duration::ZERO,' 'State::Ours if is_fresh => settle,'
mutant "tenure: who did not look for long still has the slot" $tenure \
    'now < looked_at + self.guard.look * (SETTLE - 1)' 'now >= looked_at'
mutant "tenure: who was written over says nothing" $tenure \
    'self.lost = times.min(DOUBLINGS);' ''
mutant "tenure: whoever answers a claim stands for nothing meanwhile" $tenure \
    'defends: self.is_ours() && is_fresh && is_claim,' 'defends: false,'
mutant "tenure: a claim says that nobody holds" $disk \
    'self.write(Hold::Claimed, self.intent(), self.owned(), out);' \
    'self.write(Hold::Clean, self.intent(), self.owned(), out);'
mutant "tenure: who has not the slot declares" $disk \
    '_ if !self.is_tenant() => Instant::NEVER,' ''
mutant "tenure: who has not the slot says that it is clean" $disk \
    'self.is_tenant() && self.has_to_clear()' 'self.has_to_clear()'
mutant "tenure: who renews does not look before it writes" $disk \
    'let checks = !self.is_fresh_from(renew_at);' 'let checks = false && !self.is_fresh_from(renew_at);'
mutant "tenure: who looked long ago claims" $disk \
    'Phase::Committing { .. } if !self.is_fresh() => {' 'Phase::Committing { .. } if false => {'
mutant "tenure: who looked long ago declares" $disk \
    'match is_free && self.is_fresh() {' 'match is_free {'
mutant "tenure: a holder whose slot is taken goes on" $disk \
    'if is_let_go {' 'if false && is_let_go {'
mutant "tenure: a copy is given what another start has written over" src/core/disk/mirror.rs \
    'stands.boot != own.boot && stands.seq >= own.seq' 'false && stands.boot != own.boot && stands.seq >= own.seq'
mutant "tenure: who has not the slot stands" src/core/group/native.rs \
    '!self.stopping && !self.maintenance && self.is_tenant();' '!self.stopping && !self.maintenance;'
mutant "tenure: who has not the slot promises" src/core/group/native.rs \
    'if matches!(event, lease::Event::Request(..)) && !self.is_tenant() {' 'if false {'
mutant "tenure: a MASTER whose slot is taken goes on" src/core/group/native.rs \
    'if tenancy == Tenancy::Contested {' 'if false {'

mutant "disk: nobody waits for a slot that is held" $disk \
    'since + self.settings.wait,' 'since,'
mutant "disk: the wait is a quarter too short" $disk \
    'since + self.settings.wait,' 'since + self.settings.wait / 4 * 3,'
mutant "disk: the wait goes on though the slot changes" $disk \
    'match before == others {' 'match before.len() == others.len() {'
mutant "disk: the challenger does not look before it claims" $disk \
    'Self::above(&others, ballot).or(begun)' 'None::<Blocked>'
mutant "disk: who woke meanwhile is not seen" $disk \
    'Self::above(&others, ballot).or(begun)' 'Self::above(&others, ballot)'
mutant "disk: the challenger does not look after it claimed" $disk \
    'self.blocked = Self::above(others, ballot);' 'self.blocked = None::<Blocked>;'
mutant "disk: the holder does not look after it renewed" $disk \
    'match (Self::above(others, ballot), asked) {' 'match (None::<Blocked>, asked) {'
mutant "disk: the vote counts from the answer" $disk \
    'let until = asked + self.settings.lease;' 'let until = self.now + self.settings.lease;'
mutant "disk: what cannot be read is free" $disk \
    'let torn = others.iter().position(|sight| sight.record().is_none());' 'let torn = None::<usize>;'
mutant "disk: what cannot be read hides nobody" $disk \
    'Sight::Torn => Some(Blocked::Torn(place(at))),' 'Sight::Torn => None,'
mutant "disk: something is begun while something is under way" $disk \
    'if self.pending.is_some() {
            return Instant::NEVER;
        }' ''
mutant "disk: an old epoch serves under a new vote" src/core/disk/desk/mod.rs \
    'if ticket.epoch <= vote.above && is_new {' 'if ticket.epoch < Epoch::default() && is_new {'
mutant "disk: an epoch serves before the slot says it" src/core/disk/desk/mod.rs \
    'if ticket.epoch <= vote.floor && !ticket.voted {' 'if !ticket.voted {'
mutant "disk: a read that took long has seen the disk as it is now" $disk \
    'seen_at: self.pending_since,' 'seen_at: self.now,'
mutant "disk: a slot is mended while what it allowed may be on" $disk \
    'self.clean || self.wants && !self.may_hold
' 'true || self.clean || self.wants && !self.may_hold
'
mutant "disk: a mended slot forgets the epochs that were served" src/core/disk/counter.rs \
    'self.served = self.served.max(epoch);' ''
mutant "disk: a slot that nobody can read is not mended" $disk \
    'self.own_torn = slots.get(me) == Some(&Sight::Torn);' ''
mutant "disk, counter: who asks does not wait for what is left of an earlier vote" src/core/disk/counter.rs \
    'if self.debtors.is_empty() || self.vote().is_some() {' 'if true {'
mutant "disk, counter: who gives a ticket back owes nothing" src/core/disk/counter.rs \
    'self.debtors.insert(group);
                if self' 'if self'
mutant "disk, counter: a ticket that is worth nothing stays" src/core/disk/counter.rs \
    'self.tickets.remove(group);
                self.debtors.insert(*group);' ''
mutant "disk, counter: those who waited for the area are forgotten" src/core/disk/counter.rs \
    'if self.debtors.is_empty() {
            self.settle(now, out);
        }' ''
counter=src/core/disk/counter.rs desk=src/core/disk/desk/mod.rs mirror=src/core/disk/mirror.rs
mutant "disk: a slot is laid down before what it allowed is off" $disk \
    'self.may_hold && self.clean && !self.wants ||' 'self.may_hold && !self.wants ||'
mutant "disk: clean is said of what the next vote allows, too" $disk \
    '// However it is lost: what it allows from now on has to go before the slot says so.
        self.clean = false;' \
    '// However it is lost.'
mutant "disk: who wants the vote again mends what it held" $disk \
    'self.clean || self.wants && !self.may_hold
' 'self.clean || self.wants
'
mutant "disk: a claim that failed has not landed" $disk \
    'self.own_unsure |= self.writes;' \
    'self.own_unsure |= self.writes;
        self.may_hold = false;'
mutant "disk: what failed has not landed in part" $disk \
    'self.own_unsure |= self.writes;' ''
mutant "disk: a claim that is given up is not laid down" $disk \
    'self.may_hold = true;' ''
mutant "disk: a renewal changes nothing" $disk \
    'self.seq += 1;' ''
mutant "disk: a start begins its numbers anew" $disk \
    'self.seq = self.seq.max(record.seq);' ''
mutant "disk: a record does not say of which start it is" $disk \
    'boot: self.boot,' 'boot: BootId(0),'
mutant "disk: a medium that drops what it took is believed" $disk \
    'let landed = self.own.is_none() || ours == self.own.as_ref();' 'let landed = true;'
mutant "disk: a ballot need not be above those of others" $disk \
    'self.highest = self.highest.max(record.ballot());
            self.used =' \
    'self.used ='
mutant "disk: what others have served with is not seen" $disk \
    'self.used = self.used.max(record.floor);' ''
mutant "disk: what an earlier start has served with is not seen" $disk \
    'self.floor = self.floor.max(record.floor);' ''
mutant "disk: a slot does not say the epochs that are served with" $disk \
    'Event::Floor(epoch) => self.floor = self.floor.max(epoch),' 'Event::Floor(_) => {}'
mutant "disk: an epoch that the next write says is good already" $disk \
    'let floor = self.own.map_or(Epoch::default(), |own| own.floor);' 'let floor = self.floor;'
mutant "disk: an intent above does not count" $disk \
    'if record.ballot() > ballot =>' 'if record.owned > ballot =>'
mutant "disk: the wait counts from when the read was asked for" $disk \
    'false => self.now,
        };
        self.blocked' \
    'false => self.pending_since,
        };
        self.blocked'
mutant "disk: who did not look for a while declares all the same" $disk \
    ' && self.now <= *read_at;' ';'
mutant "disk: a renewal counts from when it had landed" $disk \
    'asked: Some((_, step)),
                ..
            } => *step = Step::Look,' \
    'asked: Some(asked),
                ..
            } => *asked = (self.now, Step::Look),'
mutant "disk: a claim that came too late is a vote" $disk \
    'if until <= self.now {
            // It came' \
    'if until < Instant::default() {
            // It came'
mutant "disk: who is outbid lays down what others were told of" $disk \
    'self.next_at = self.next_at.max(until);' ''
mutant "disk: a vote that has ended is not given up" $disk \
    '            && until <= self.now
' \
    '            && until < Instant::default()
'
mutant "disk: an answer to another question counts" $disk \
    'let is_it = self.pending == Some(op);' \
    'let is_it = self.pending.is_some_and(|own| own >= op || own < op);'
mutant "disk: who is outbid comes back at once" $disk \
    'self.next_at = self.now + self.settings.poll / 4 * turns;' 'let _ = turns;'
mutant "disk: all that are outbid come back together" $disk \
    'let turns = u32::from(self.settings.me) + 1 + self.outbid.min(8);' 'let turns = 1;'
mutant "disk: a torn slot in the way of a renewal ends the vote" $disk \
    '(Some(Blocked::Torn(at)), _) => {' '(Some(Blocked::Torn(at)), None) => {'
mutant "disk: one failed renewal ends the vote" $disk \
    '                *asked = None;
                *renew_at = self.next_at;
            }
            // Nobody' \
    '                (*asked, *renew_at) = (None, self.next_at);
                self.phase = Phase::Idle;
            }
            // Nobody'
mutant "disk, desk: a group has its right over a break of the vote" $desk \
    '(ticket.voted, ticket.holds) = (false, false);' 'ticket.voted = false;'
mutant "disk, desk: who gives one ticket of two back ends the vote" $desk \
    'if self.tickets.is_empty() && before > 0 {
            self.step(now, Event::Rest, out);
        }
    }

    /// Nothing' \
    'if before > 0 {
            self.step(now, Event::Rest, out);
        }
    }

    /// Nothing'
mutant "disk, desk: the vote goes on though nobody has a ticket" $desk \
    'if self.tickets.is_empty() && before > 0 {
            self.step(now, Event::Rest, out);
        }
    }

    /// Nothing' \
    '}

    /// Nothing'
mutant "disk, desk: an old ticket that comes back takes the new one along" $desk \
    '|ticket: &Ticket| (ticket.group, ticket.nonce) == (group, nonce);' \
    '|ticket: &Ticket| ticket.group == group || ticket.nonce == nonce;'
mutant "disk, desk: the slot is not told of the epoch of a ticket" $desk \
    'self.step(now, Event::Floor(epoch), out);' ''
mutant "disk: clean is said while the vote is wanted" $disk \
    'self.clean = !self.wants,' 'self.clean = true,'
mutant "disk, counter: one of two that is clean speaks for both" $counter \
    'if self.debtors.remove(&group) && self.debtors.is_empty() {' 'if self.debtors.remove(&group) {'
mutant "disk, counter: what an earlier agent has left owes nothing" $counter \
    'Plea::Owes(group) => drop(self.debtors.insert(group)),' 'Plea::Owes(_) => {}'
mutant "disk, counter: an old ticket that comes back takes the new one along" $counter \
    'if self.tickets.get(&group).is_some_and(|own| own.0 == nonce) {' \
    'if self.tickets.contains_key(&group) {'
mutant "disk, counter: a second group waits for what the first one holds" $counter \
    ' || self.vote().is_some() {' ' {'
mutant "disk, counter: a silence before the area is known is forgotten" $counter \
    'desk.watch(now, self.silence, out);' ''
mutant "disk, copies: half of them are enough" $mirror \
    'self.copies.len() / 2 + 1' 'self.copies.len() / 2'
mutant "disk, copies: of two starts the higher number is the slot" $mirror \
    'records().filter(|record| of(record.boot) >= self.need());' \
    'records().filter(|record| of(record.boot) > 0);'
mutant "disk, copies: of one start the lowest number is the slot" $mirror \
    'starts.max_by_key(|record| record.seq) else' 'starts.min_by_key(|record| record.seq) else'
mutant "disk, copies: one that fails ends the wait for the others" $mirror \
    '_ if good < self.need() && is_late => return self.ask_again(now, out),' \
    '_ if good < self.need() && is_late => Some(Event::Failed(op)),'
mutant "disk, copies: one that has failed is not asked again" $mirror \
    '_ if good < self.need() && is_late => return self.ask_again(now, out),' \
    '_ if good < self.need() && is_late => None,'
mutant "disk, copies: of two records of one number either is the slot" $mirror \
    '.all(|twin| twin == latest)' '.any(|twin| twin == latest)'
mutant "disk, copies: one that cannot be read counts as an answer" $mirror \
    'let of = |start| records().filter(|record| record.boot == start).count();' \
    'let torn = all.len() - records().count();
        let of = |start| records().filter(|record| record.boot == start).count() + torn;'
mutant "disk, copies: one that has not taken the record counts as landed" $mirror \
    'answers().count() - failed, failed)' 'answers().count(), 0)'
mutant "disk, copies: what has failed has landed" $mirror \
    '(What::Write(_), Answer::Failed) => self.own = None,' \
    '(What::Write(record), Answer::Failed) => self.own = Some(Sight::Slot(record)),'
mutant "disk, copies: what one has missed is not written again" $mirror \
    '(None, Some(own)) => (What::Write(own), None),' \
    '(None, Some(own)) if own.seq > u64::MAX - 1 => (What::Write(own), None),
            (None, Some(_)) => return,'
mutant "disk, copies: one that lies is believed" $mirror \
    'let failed = copy.lies && !is_alone;' 'let failed = copy.lies && is_alone;'
mutant "disk, copies: one that lied once is believed the next time" $mirror \
    'self.lies = (self.lies || is_other) && !is_latest && !is_foreign;' \
    'self.lies = is_other && !is_latest && !is_foreign;'
mutant "disk, copies: one is asked while it has not answered" $mirror \
    'if copy.busy.is_some() {
            return;
        }
        let asked' \
    'let asked'
mutant "disk, copies: an answer to the question before counts" $mirror \
    'let asked = self.asked.as_mut().filter(|asked| Some(asked.op) == op);' \
    'let asked = self.asked.as_mut().filter(|asked| op.is_some_and(|op| op <= asked.op));'
mutant "disk, copies: any answer of one is to its last question" $mirror \
    'let is_it = |busy: &mut Busy| busy.order == order;' \
    'let is_it = |busy: &mut Busy| busy.order >= order;'
mutant "disk, copies: nobody waits for one that might settle it" $mirror \
    'asked.since + self.patience <= now;' 'asked.since <= now;'
mutant "disk, copies: one that hangs is waited for" $mirror \
    '(good >= self.need() || failed > 0)' 'good > self.copies.len()'
mutant "disk: a wrong checksum is right" src/wire/disk/block.rs \
    'match stored == computed {' 'match stored == computed || stored != computed {'
mutant "disk: a slot of another area is one of this" src/wire/disk/slot.rs \
    'if theirs != area {' 'if theirs.0 < [0; 16] {'
mutant "disk: a clerk does not wait for the one before it" src/disk/clerk/serve.rs \
    'clerk.take_slot()?;' ''
mutant "always: the peers replace the arbiter" src/core/lease/answers.rs \
    'let best = match self.settings.always {' 'let best = match false {'
mutant "always: the peers are asked before the arbiter has voted" src/core/lease/candidate.rs \
    'if self.settings.always && campaign.arbiter().is_none() {' 'if false {'
warrant=src/core/group/warrant.rs
mutant "vrrp: silence is enough without the arbiter" $warrant \
    'self.warranted_until() > self.now' 'true'
mutant "vrrp: the gate is not told that the vote ends" $warrant \
    'if std::mem::replace(&mut self.warranted, until) != until {' 'if false {'
mutant "vrrp: a vote that has ended ends nothing" $warrant \
    '} => self.warranted_until(),
            _ => Instant::NEVER,' '} => Instant::NEVER,
            _ => Instant::NEVER,'
mutant "vrrp: the ticket is kept while the addresses go off" $warrant \
    'Role::Candidate { .. } | Role::Master { .. } => true,' \
    'Role::Candidate { .. } | Role::Master { .. } | Role::Releasing(_) => true,'
mutant "vrrp: the right does not end with the reference" $warrant \
    'if !self.is_native() => reach.counts_until()' 'if false => reach.counts_until()'
reference=src/core/group/reference.rs
mutant "vrrp: an answer of the reference counts for ever" $reference \
    'false => self.until,' 'false if self.was_reached => Instant::NEVER,
            false => self.until,'
mutant "vrrp: the reference counts from the answer" $reference \
    'asked_at.min(self.now) + self.proof_length()' 'asked_at.max(self.now) + self.proof_length()'
mutant "vrrp: standing without the reference" src/core/group/listen.rs \
    'match self.maintenance || !self.is_fit() {' 'match self.maintenance {'
mutant "vrrp: the reference that is back is not waited for" $reference \
    'self.steady_at = now + STEADY;' 'self.steady_at = now;'
mutant "vrrp: whoever reaches the reference again does not stand again" $reference \
    '} else if has_changed && matches!(self.role, Role::Backup(_)) {' \
    '} else if has_changed && !is_fit && matches!(self.role, Role::Backup(_)) {'
mutant "vrrp: solo for good" $reference \
    '(reach.solo || goes_solo) && !reach.was_reached && !is_met' '(reach.solo || goes_solo) && !is_met'
mutant "vrrp: solo though another node was heard" $reference \
    '!reach.was_reached && !has_company && self.facts.link' '!reach.was_reached && self.facts.link'

dog=src/core/watchdog.rs
mutant "watchdog: petted whenever the heartbeat turns" $dog \
    'reading.harmless_until = reading.harmless_until.min(until);' ''
mutant "watchdog: petted whether or not the heartbeat turns" $dog \
    'harmless_until: now + plan.timeout / 2,' 'harmless_until: Instant::NEVER,'
mutant "watchdog: the device is taken for an exact one" $dog \
    'until - slow(plan.timeout) - RESET' 'until - plan.timeout'
mutant "watchdog: petted though the gate is gone" $dog \
    'Reach::BacksUp) if gate_is_whole =>' 'Reach::BacksUp) =>'
mutant "watchdog: petted while addresses do not come off" $dog \
    'since + OFF_WITHIN,' 'Instant::NEVER,'
mutant "watchdog: armed while nothing is at stake" $dog \
    'armed: false,' 'armed: true,'
mutant "watchdog: petted blindly" src/agent/watchdog.rs \
    'if reading.harmless_until <= now {' 'if reading.harmless_until < Instant::default() {'
mutant "watchdog: closed without a word" src/agent/watchdog.rs \
    'let written = device.disarm();' 'let written = Ok::<(), io::Error>(drop(device));'
mutant "watchdog: what was left running runs on" src/agent/watchdog.rs \
    'if facts.runs {' 'if false {'
mutant "watchdog: nobody gives up early" src/agent/plan.rs \
    'Some(_) => self.early,' 'Some(_) => Duration::ZERO,'

[ "$survivors" -eq 0 ] || {
    echo "$survivors survive" >&2
    exit 1
}
