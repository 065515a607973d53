-- Where a fence stands, these books are a copy: whoever has the original may go on with it, and give out the numbers
-- that would be given here. Nothing is changed and nobody outside is asked until an admin says that this copy goes on
-- instead.
create table fences (
    id integer not null primary key,
    -- All that was committed by this second is in the copy.
    taken_at integer not null,
    raised_at integer not null,
    raised_by text not null,
    reason text not null,
    lifted_at integer,
    lifted_by text,
    lift_reason text,
    constraint fence_lifting_is_whole
        check ((lifted_at is null) = (lifted_by is null) and (lifted_at is null) = (lift_reason is null))
) strict;

create trigger fence_stays before update on fences
when old.lifted_at is not null or new.id <> old.id or new.taken_at <> old.taken_at or new.raised_at <> old.raised_at
    or new.raised_by <> old.raised_by or new.reason <> old.reason
begin
    select raise(abort, 'fence_stays');
end;

create trigger fence_is_kept before delete on fences
begin
    select raise(abort, 'fence_is_kept');
end;

-- Which database of which server served these books last; a file has no such name.
alter table identity add column home text;
