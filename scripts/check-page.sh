#!/usr/bin/env bash
# The page of `lottery report --html` in a headless Chromium: nothing on its console, tables sort and filter, links open
# what they name, and no request leaves it. Takes screenshots, light and dark, wide and narrow.
#   scripts/check-page.sh PAGE.html [DIR for screenshots]
# Exit status: 0 all is well, 1 it is not, 77 there is no Chromium here and none can be installed.
set -euo pipefail
page=$(realpath "$1")
shots=${2:-}

unable() { echo "skipped: $*" >&2; exit 77; }
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } > /dev/null 2>&1 ||
            unable "Chromium cannot be installed"
    fi
    browser=$(command -v chromium || true)
    [ -n "$browser" ] || unable "there is no Chromium"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() {
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" \
        --virtual-time-budget=5000 "$@"
}

# The page with a script behind its own that uses it, and writes what it finds into the title.
cat > "$work/use.js" << 'JS'
<script>
const said = [];
const check = (right, what) => { if (!right) said.push(what) };
const section = document.getElementById("runs");
const body = section.querySelector("tbody"), heads = [...section.querySelectorAll("th")];
const column = heads.findIndex(head => head.textContent === "retrained");
const numbers = () => [...body.rows].map(row => Number(row.cells[column].dataset.sort));
const before = numbers(), button = heads[column].querySelector("button");
check(before.length > 1, "there are no rows to sort");
button.click();
check(String(numbers()) === String([...before].sort((a, b) => a - b)), "ascending: " + numbers());
check(heads[column].getAttribute("aria-sort") === "ascending", "the sorted column does not say so");
button.click();
check(String(numbers()) === String([...before].sort((a, b) => b - a)), "descending: " + numbers());
const filter = section.querySelector("input"), word = body.rows[0].cells[2].textContent;
filter.value = word;
filter.dispatchEvent(new Event("input"));
const seen = [...body.rows].filter(row => row.offsetParent !== null);
check(seen.length > 0 && seen.every(row => row.textContent.includes(word)), "the filter shows other rows");
filter.value = "no such word";
filter.dispatchEvent(new Event("input"));
check([...body.rows].every(row => row.offsetParent === null), "the filter hides nothing");
filter.value = "";
filter.dispatchEvent(new Event("input"));
const link = document.querySelector("#results td a");
location.hash = link.getAttribute("href");
const target = document.getElementById(link.getAttribute("href").slice(1));
setTimeout(() => {
  check(target && target.open && target.textContent.includes("lottery run --config"), "a number's link opens no records");
  check(performance.getEntriesByType("resource").length === 0, "something was fetched");
  check(document.documentElement.scrollWidth <= innerWidth + 1, "the page is wider than the window");
  document.title = said.length ? "FAILED: " + said.join("; ") : "all is well";
}, 500);
</script>
JS
sed '/<\/body>/e cat '"$work/use.js" "$page" > "$work/used.html"
for size in 1400,1000 420,900; do
    run --window-size=$size --enable-logging=stderr --dump-dom "file://$work/used.html" > "$work/dom" 2> "$work/log"
    title=$(grep -o '<title>[^<]*</title>' "$work/dom" | sed -n 1p)
    if grep -q 'CONSOLE' "$work/log"; then
        grep 'CONSOLE' "$work/log" >&2
        echo "the console is not empty" >&2
        exit 1
    fi
    [ "$title" = "<title>all is well</title>" ] || { echo "at $size: $title" >&2; exit 1; }
done
if [ -n "$shots" ]; then
    mkdir -p "$shots"
    shots=$(realpath "$shots")
    run --window-size=1400,3000 --screenshot="$shots/light.png" "file://$page" 2> /dev/null
    run --window-size=1400,3000 --blink-settings=preferredColorScheme=0 --screenshot="$shots/dark.png" "file://$page" 2> /dev/null
    run --window-size=420,1600 --screenshot="$shots/narrow.png" "file://$page" 2> /dev/null
fi
echo "the page sorts, filters and links, and its console is empty"
