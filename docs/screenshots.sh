#!/usr/bin/env bash
# Makes the screenshots of the README from a running page: ./coredns with the zones of Corefile.example, one whose key is wrong and
# one whose primary is gone. Needs `make build` and Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT

sed -e 's/:1053 /:20053 /; s/:1054/:20054/; s/9153/20153/; s/9154/20154/; s/8181/20181/' Corefile.example > "$dir/Corefile"
cat >> "$dir/Corefile" <<COREFILE
.:20055 {
    bind 127.0.0.1
    errors
    secondaryplus example.net. {
        key other.example.org. hmac-sha256 c29tZWJvZHkgZWxzZSdzIHNlY3JldCBvZiAyNTYgYml0
        primary 127.0.0.1:20054 key other.example.org.
        store off
    }
    secondaryplus example.com. {
        primary 127.0.0.1:20056
    }
}
COREFILE
sed -i 's/^        control /        store off\n        control /' "$dir/Corefile"
./coredns -conf "$dir/Corefile" > "$dir/log" 2>&1 & server=$!

shot() { # file width height path
    chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$dir/chromium" --virtual-time-budget=3000 \
        --window-size="$2,$3" --screenshot="$1" "http://127.0.0.1:20154/$4" 2> "$dir/chromium.log" ||
        { cat "$dir/chromium.log"; return 1; }
}

sleep 3
./splusctl --address http://127.0.0.1:20154 refresh example.org. --wait > "$dir/refresh" || { cat "$dir/refresh" "$dir/log"; exit 1; }
shot docs/page-overview.png 1000 620 '#/'
shot docs/page-zone.png 1000 720 '#/zone/example.net.'
