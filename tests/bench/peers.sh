# The peers that HTTP benchmarks compare with. Each starts on the server's core, in folders of its
# own below $work, in front of $origin, with one thread or worker for clients, and with room for
# $memory_mib of content. Its id is in $last. Sourced after common.sh, not run.

# shellcheck shell=bash disable=SC2154

# Access logs, all or none: nginx writes lines of `combined` through a buffer of 64 KiB, Traffic
# Server its own binary format from a thread of its own, Varnish always writes into shared memory;
# a second process, not started here, would turn that into lines.
access_log=${ACCESS_LOG:-on}

start_nginx() { # address
    local log=off
    [ "$access_log" = off ] || log="$work/nginx/access.log combined buffer=64k flush=1s"
    mkdir -p "$work/nginx/temp"
    cat > "$work/nginx/nginx.conf" << END
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid $work/nginx/pid;
error_log stderr;
events { worker_connections 16384; }
http {
    access_log $log;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 600;
    open_file_cache max=4000 inactive=600s;
    open_file_cache_valid 600s;
    client_body_temp_path $work/nginx/temp/body;
    proxy_temp_path $work/nginx/temp/proxy;
    fastcgi_temp_path $work/nginx/temp/fastcgi;
    uwsgi_temp_path $work/nginx/temp/uwsgi;
    scgi_temp_path $work/nginx/temp/scgi;
    proxy_cache_path $work/nginx/cache levels=1:2 keys_zone=bench:${keys_mib:-64}m max_size=${memory_mib}m
                     inactive=1d use_temp_path=off;
    upstream origin { server $origin; keepalive 64; }
    server {
        listen $1 reuseport backlog=4096;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Host \$host;
            proxy_set_header Connection "";
            proxy_cache bench;
            proxy_cache_lock on;
            add_header X-Cache \$upstream_cache_status;
        }
    }
}
END
    # Run by root, its worker would be somebody who can't read our folder.
    if [ "$(id -u)" = 0 ]; then sed -i '1i user root;' "$work/nginx/nginx.conf"; fi
    on_core "$server_core" "$work/nginx.log" \
        nginx -p "$work/nginx" -c "$work/nginx/nginx.conf" -e stderr
}

start_varnish() { # address
    mkdir -p "$work/varnish"
    cat > "$work/varnish.vcl" << END
vcl 4.1;
backend default { .host = "${origin%:*}"; .port = "${origin#*:}"; }
sub vcl_deliver {
    if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } else { set resp.http.X-Cache = "MISS"; }
}
END
    on_core "$server_core" "$work/varnish.log" varnishd -F -n "$work/varnish" -a "$1" \
        -f "$work/varnish.vcl" -s "malloc,${memory_mib}m" -j none \
        -p thread_pools=1 -p thread_pool_min=100 -p listen_depth=4096 -p timeout_idle=600
}

start_trafficserver() { # address
    local etc="$work/ts/etc" logging=0 user
    user=$(id -un)
    [ "$access_log" = off ] || logging=3
    mkdir -p "$etc" "$work"/ts/{cache,log,run}
    cp -r /etc/trafficserver/. "$etc"
    cat > "$work/ts/runroot.yaml" << END
prefix: $work/ts
exec_prefix: $work/ts
bindir: /usr/bin
sbindir: /usr/sbin
sysconfdir: $etc
datadir: $work/ts/cache
includedir: /usr/include
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
localstatedir: $work/ts/run
runtimedir: $work/ts/run
logdir: $work/ts/log
cachedir: $work/ts/cache
END
    echo "$work/ts/cache $((memory_mib + 64))M" > "$etc/storage.config"
    echo "map / http://$origin/" > "$etc/remap.config"
    cat > "$etc/records.config" << END
CONFIG proxy.config.admin.user_id STRING $user
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.exec_thread.affinity INT 0
CONFIG proxy.config.http.server_ports STRING ${1#*:}:ip-in=${1%:*}
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.http.cache.http INT 1
CONFIG proxy.config.http.insert_response_via_str INT 3
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 600
CONFIG proxy.config.net.connections_throttle INT 18000
CONFIG proxy.config.cache.ram_cache.size INT ${memory_mib}M
CONFIG proxy.config.cache.ram_cache_cutoff INT 8388608
CONFIG proxy.config.log.logging_enabled INT $logging
END
    # It refuses to work as root.
    if [ "$user" = root ]; then
        sed -i 's/user_id STRING root/user_id STRING trafficserver/' "$etc/records.config"
        chmod 711 "$work"
        chown -R trafficserver "$work/ts"
    fi
    on_core "$server_core" "$work/ts.log" traffic_server "--run-root=$work/ts/runroot.yaml"
}

start_kingcdn() { # config
    local level=info
    [ "$access_log" = on ] || level=warn
    on_core "$server_core" "$work/edge.log" "$kingcdn" edge --config "$1" --log "$level"
}

need_peers() { # peers...
    local peer
    for peer in "$@"; do
        case $peer in
            nginx) need nginx nginx-light ;;
            varnish) need varnishd varnish ;;
            trafficserver) need traffic_server trafficserver ;;
            *)
                echo "no such peer: $peer" >&2
                exit 2
                ;;
        esac
    done
}

# Whether a response's head, on standard input, says that it came from the cache. Traffic Server
# says it in Via: cH is a hit, cR one in memory.
is_hit() {
    grep -qiE '^(cache-status: bench; hit|x-cache: hit|via:.*\[u[a-z ]*c[HR])'
}

version() { # server
    case $1 in
        kingcdn) "$kingcdn" --version ;;
        nginx) nginx -v 2>&1 | sed 's/.*: //' ;;
        varnish) varnishd -V 2>&1 | sed -n 's/.*(\(varnish-[0-9.]*\).*/\1/p' ;;
        trafficserver) traffic_server --version 2>&1 | sed -n 's/^\(Traffic Server [0-9.]*\).*/\1/p' ;;
    esac
}
