-- Where a fence stands, these books are a copy: whoever has the original may go on with it, and give out the numbers
-- that would be given here. Nothing is changed and nobody outside is asked until an admin says that this copy goes on
-- instead.
create table fences (
    id bigint not null primary key,
    -- All that was committed by this second is in the copy.
    taken_at bigint not null,
    raised_at bigint not null,
    raised_by text collate "C" not null,
    reason text collate "C" not null,
    lifted_at bigint,
    lifted_by text collate "C",
    lift_reason text collate "C",
    constraint fence_lifting_is_whole
        check ((lifted_at is null) = (lifted_by is null) and (lifted_at is null) = (lift_reason is null))
);

create trigger fence_stays before update on fences for each row
when (
    old.lifted_at is not null or new.id <> old.id or new.taken_at <> old.taken_at or new.raised_at <> old.raised_at
    or new.raised_by <> old.raised_by or new.reason <> old.reason
)
execute function refuse();

create trigger fence_is_kept before delete on fences for each row execute function refuse();

-- Which database of which server served these books last; a file has no such name.
alter table identity add column home text collate "C";
