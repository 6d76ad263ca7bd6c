# What the scripts of this folder share. They run in deploy/.

regions=(seoul tokyo frankfurt ashburn saopaulo)
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-kingcdn-regions}

compose() {
    if docker compose version > /dev/null 2>&1; then
        docker compose -f compose.yaml "$@" < /dev/null
    else
        docker-compose -f compose.yaml "$@" < /dev/null
    fi
}

# Containers are asked for by their labels: compose itself takes half a second a call. The newest is
# first, a name server's successor.
containers() { # SERVICE [MORE OF DOCKER'S OPTIONS...]
    local service=$1; shift
    docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$service" "$@"
}
container() { containers "$1" | head -n 1; }

# inside SERVICE COMMAND...
inside() {
    local service=$1; shift
    docker exec "$(container "$service")" "$@"
}

healthy() { # SERVICE...
    local service
    for service in "$@"; do
        [ "$(docker inspect --format '{{.State.Health.Status}}' "$(container "$service")")" = healthy ] || return 1
    done
}

# The region of the edge that a region's client is sent to.
edge_for() { # REGION
    local address
    address=$(inside "client-$1" dig +short +timeout=1 +tries=1 video.netcinema.test | tail -n 1)
    case $address in
        10.90.[1-5].11) address=${address#10.90.}; echo "${regions[${address%%.*} - 1]}" ;;
        *) return 1 ;;
    esac
}

# Replaces a node by one of the image that is there now, without losing what is asked meanwhile.
upgrade() { # SERVICE
    local service=$1 old
    case $service in
        ns*)
            old=$(container "$service")
            compose up --detach --no-deps --no-build --no-recreate --scale "$service=2" "$service"
            within 60 has_ended "$old"
            docker rm --volumes "$old" ;;
        *)
            compose up --detach --no-deps --no-build --force-recreate "$service" ;;
    esac > /dev/null 2>&1
    within 60 healthy "$service"
}
has_ended() { [ "$(docker inspect --format '{{.State.Status}}' "$1")" = exited ]; }

# within SECONDS COMMAND...: until the command succeeds.
within() {
    local until=$((SECONDS + $1)); shift
    until "$@" > /dev/null 2>&1; do
        if [ "$SECONDS" -ge "$until" ]; then echo "not in time: $*" >&2; return 1; fi
        sleep 0.3
    done
}
