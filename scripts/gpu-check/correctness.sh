# The part `correctness` of gpu-check.sh.
# shellcheck shell=bash disable=SC2154

# The lines that say why a test failed, as one.
message() { # file
    local lines
    lines=$(grep -A 3 -m 1 'panicked at' "$1" | grep -v 'RUST_BACKTRACE')
    [ -n "$lines" ] || lines=$(grep -v '^$' "$1" | tail -n 3)
    tr '\n' ' ' <<< "$lines" | cut -c 1-500
}
outcome() { # exit status
    case $1 in
        124 | 137) echo "did not end in time" ;;
        101) echo "failed" ;;
        *) if [ "$1" -gt 128 ]; then echo "was ended by signal $(($1 - 128))"; else echo "exit status $1"; fi ;;
    esac
}

say "## Correctness"
say
export LOTTERY_TEST_ON=device
tests=$out/$name-tests.txt
: > "$tests"
ours 20 ./cuda-tests --list 2> /dev/null | sed -n 's/: test$//p' > "$work/all"
# All in one process, which takes less time. An error of the device fails all that come after it there, and a crash
# hides them: those that did not pass are run again, each by itself, with kernels named by the errors they cause.
ours 300 ./cuda-tests --test-threads=1 > "$work/together" 2> "$work/errors"
together=$?
cat "$work/together" "$work/errors" >> "$tests"
sed -n 's/^test \(.*\) \.\.\. ok$/\1/p' "$work/together" | sort > "$work/passed"
sort "$work/all" | comm -23 - "$work/passed" > "$work/again"
count=$(wc -l < "$work/all")
if [ "$count" = 0 ]; then
    failed=1
    say "The tests FAILED to be listed: $(message "$work/errors")"
elif [ $together = 0 ] && [ ! -s "$work/again" ]; then
    say "Tests on the device: all $count passed, in $((SECONDS - began)) s."
else
    say "Tests on the device: in one process $(wc -l < "$work/passed") of $count passed; it $(outcome $together). The others alone:"
    say
    alone=0 others=$(wc -l < "$work/again")
    while read -r test; do
        CUDA_LAUNCH_BLOCKING=1 ours 60 ./cuda-tests --exact "$test" --nocapture > "$work/one" 2>&1 < /dev/null
        code=$?
        { echo "==== $test alone: $code"; cat "$work/one"; } >> "$tests"
        if [ $code = 0 ]; then
            alone=$((alone + 1))
        elif [ "$(left)" -le 0 ]; then
            failed=1
            say "* NOT TRIED to its end, for lack of time: $test"
        else
            failed=1
            say "* FAILED: $test $(outcome $code): $(message "$work/one")"
        fi
    done < "$work/again"
    say "* $alone passed alone."
    # None of them is the cause by itself, but something is.
    if [ "$alone" = "$others" ] && [ $together != 124 ] && [ $together != 137 ]; then failed=1; fi
    say
fi
# Those of whole passes have no kernel that the others have not, and take long. That calls of the driver fail, tests
# do on purpose.
if ! command -v compute-sanitizer > /dev/null; then
    say "compute-sanitizer is not here."
elif [ "$(left)" -lt 30 ]; then
    say "compute-sanitizer memcheck was not tried, for lack of time."
else
    log=$out/$name-memcheck.txt
    ours "$(left)" compute-sanitizer --tool memcheck --report-api-errors no --error-exitcode 9 ./cuda-tests \
        --test-threads=1 --skip engine:: --skip pipeline:: --skip failing:: > "$log" 2>&1
    code=$?
    passed=$(grep -c '^test .* ok$' "$log")
    fails=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | tr '\n' ' ')
    # What it finds in kernels, and its own sum.
    found=$(grep -m 2 -A 1 -E '^=+ +(Invalid|Misaligned|Out-of-range|Address|Uninitialized|Barrier|Race|Leaked)' "$log" | tr '\n' ' ')
    summary=$(grep -m 1 -o 'ERROR SUMMARY: .*' "$log")
    if [ $code = 9 ] || [ -n "$found" ]; then
        failed=1
        say "compute-sanitizer memcheck FOUND errors: ${summary:-no summary}; $found"
    elif [ $code = 124 ] || [ $code = 137 ]; then
        say "compute-sanitizer memcheck: no error in $passed tests, then the time was over."
    elif [ $code = 0 ] || [ -n "$summary" ]; then
        say "compute-sanitizer memcheck: no error in $passed tests."
    else
        say "compute-sanitizer memcheck could not be used, exit status $code: $(tail -n 2 "$log" | tr '\n' ' ')"
    fi
    [ -z "$fails" ] || say "Tests that failed under it (not errors that it found): $fails"
fi
unset LOTTERY_TEST_ON
say
